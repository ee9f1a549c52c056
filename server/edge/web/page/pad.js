// The drawing pad: draws with pointer or keyboard, and reads the drawing as an item.

const STROKE = 0.075; // of the pad's width
const STEP = 0.03; // of the pad's width, for one press of an arrow key

/** Make the canvas a pad; `changed` is called after every stroke. Returns {clear, read}. */
export function pad(canvas, changed) {
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const ink = document.createElement("canvas"); // without the cursor
  ink.width = canvas.width;
  ink.height = canvas.height;
  const strokes = ink.getContext("2d", { willReadFrequently: true });
  let last = null;
  let cursor = null; // of the keyboard: {x, y, down}

  function show() {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(ink, 0, 0);
    if (cursor) {
      pen.strokeStyle = cursor.down ? "#e33" : "#6af";
      pen.lineWidth = 3;
      pen.strokeRect(cursor.x - 8, cursor.y - 8, 16, 16);
    }
  }

  function line(from, to) {
    strokes.strokeStyle = "#fff";
    strokes.lineCap = "round";
    strokes.lineWidth = canvas.width * STROKE;
    strokes.beginPath();
    strokes.moveTo(from.x, from.y);
    strokes.lineTo(to.x, to.y);
    strokes.stroke();
    // A line without length draws nothing, and a tap should leave a dot.
    strokes.fillStyle = "#fff";
    strokes.beginPath();
    strokes.arc(to.x, to.y, strokes.lineWidth / 2, 0, 2 * Math.PI);
    strokes.fill();
    show();
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * canvas.width, y: ((event.clientY - box.top) / box.height) * canvas.height };
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    cursor = null;
    last = at(event);
    line(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const here = at(event);
    line(last, here);
    last = here;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (last) changed();
      last = null;
    });
  }
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    cursor ??= { x: canvas.width / 2, y: canvas.height / 4, down: false };
    const from = { ...cursor };
    if (move) {
      cursor.x = Math.min(canvas.width, Math.max(0, cursor.x + move[0] * STEP * canvas.width));
      cursor.y = Math.min(canvas.height, Math.max(0, cursor.y + move[1] * STEP * canvas.height));
    } else {
      cursor.down = !cursor.down;
      if (!cursor.down) changed();
    }
    if (cursor.down) line(from, cursor);
    else show();
  });
  canvas.addEventListener("blur", () => {
    if (cursor?.down) changed();
    cursor = null;
    show();
  });
  show();

  return {
    clear() {
      strokes.clearRect(0, 0, ink.width, ink.height);
      show();
    },
    /** The drawing as bytes [channels, height, width]; null if the pad is empty. `centred`: scaled and centred as in MNIST. */
    read([channels, height, width], centred) {
      const box = inked(strokes, ink);
      if (!box) return null;
      const grey = centred ? likeMnist(ink, box, height, width) : scaled(ink, [0, 0, ink.width, ink.height], [0, 0, width, height], height, width);
      const bytes = new Uint8Array(channels * height * width);
      for (let c = 0; c < channels; c += 1) bytes.set(grey, c * height * width);
      return bytes;
    },
  };
}

/** The smallest box around the ink; null without any. */
function inked(context, canvas) {
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let [left, top, right, bottom] = [canvas.width, canvas.height, -1, -1];
  for (let i = 3; i < data.length; i += 4) {
    if (data[i] < 32) continue;
    const x = ((i - 3) / 4) % canvas.width;
    const y = Math.floor((i - 3) / 4 / canvas.width);
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return right < 0 ? null : [left, top, right - left + 1, bottom - top + 1];
}

/** Scale the longer side to 20 of 28 pixels and centre the mass (LeCun et al. 1998, section III.A). */
function likeMnist(ink, box, height, width) {
  const scale = (Math.min(height, width) * 20) / 28 / Math.max(box[2], box[3]);
  const size = [box[2] * scale, box[3] * scale];
  const place = (x, y) => scaled(ink, box, [x, y, ...size], height, width);
  const [x, y] = [(width - size[0]) / 2, (height - size[1]) / 2];
  const first = place(x, y);
  let [mass, across, down] = [0, 0, 0];
  first.forEach((value, i) => {
    mass += value;
    across += value * ((i % width) + 0.5);
    down += value * (Math.floor(i / width) + 0.5);
  });
  return place(x + width / 2 - across / mass, y + height / 2 - down / mass);
}

function scaled(ink, from, to, height, width) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(ink, ...from, ...to);
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: height * width }, (_, i) => data[4 * i]);
}
