// The map: draws samples at their places, and lets the reader point at one and choose it.

import { item, paint } from "./pictures.js";

const SIDE = 900; // of the canvas, in its own pixels
const MARGIN = 0.05;

/** Draw items at places [[x, y]]; `chosen` is called with the index of the chosen one. */
export function map(canvas, bytes, shape, places, chosen) {
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d");
  const size = SIDE / 24;
  const spots = fit(places).map(([x, y]) => [x * (SIDE - size) + size / 2, y * (SIDE - size) + size / 2]);
  const pictures = spots.map((_, index) => {
    const picture = document.createElement("canvas");
    paint(picture, item(bytes, shape, index), shape);
    return picture;
  });
  let pointed = -1;

  function one(index, side) {
    const [x, y] = spots[index];
    context.drawImage(pictures[index], x - side / 2, y - side / 2, side, side);
  }

  function draw() {
    context.clearRect(0, 0, SIDE, SIDE);
    context.imageSmoothingEnabled = false;
    context.globalAlpha = 0.9;
    spots.forEach((_, index) => one(index, size));
    context.globalAlpha = 1;
    if (pointed < 0) return;
    one(pointed, 2.5 * size);
    context.strokeStyle = "#e8792b";
    context.lineWidth = 5;
    context.strokeRect(spots[pointed][0] - 1.25 * size, spots[pointed][1] - 1.25 * size, 2.5 * size, 2.5 * size);
  }

  function point(index) {
    if (index === pointed || index < 0) return;
    pointed = index;
    draw();
  }

  function under(event) {
    const box = canvas.getBoundingClientRect();
    const scale = Math.min(box.width, box.height);
    const x = ((event.clientX - box.left) / box.width) * SIDE;
    const y = ((event.clientY - box.top) / box.height) * SIDE;
    return scale ? closest(spots, x, y, () => true) : -1;
  }

  canvas.onpointermove = (event) => point(under(event));
  canvas.onclick = (event) => {
    point(under(event));
    chosen(pointed);
  };
  canvas.onkeydown = (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter" && pointed >= 0) chosen(pointed);
    if (!move) return;
    event.preventDefault();
    const [x, y] = pointed < 0 ? [SIDE / 2, SIDE / 2] : spots[pointed];
    const ahead = ([a, b]) => (a - x) * move[0] + (b - y) * move[1] > Math.abs((a - x) * move[1]) + Math.abs((b - y) * move[0]);
    point(closest(spots, x, y, ahead));
  };
  draw();
}

/** The index of the spot nearest to a point, among those for which `wanted` is true; -1 if there is none. */
function closest(spots, x, y, wanted) {
  let best = -1;
  let least = Infinity;
  spots.forEach((spot, index) => {
    const distance = Math.hypot(spot[0] - x, spot[1] - y);
    if (distance < least && distance > 0 && wanted(spot)) [best, least] = [index, distance];
  });
  return best;
}

/** Scale places so that they fill 0..1 on both axes, less a margin. */
function fit(places) {
  const axes = [0, 1].map((axis) => {
    const values = places.map((place) => place[axis]);
    const least = Math.min(...values);
    return { least, span: Math.max(...values) - least || 1 };
  });
  return places.map((place) => axes.map(({ least, span }, axis) => MARGIN + (1 - 2 * MARGIN) * ((place[axis] - least) / span)));
}
