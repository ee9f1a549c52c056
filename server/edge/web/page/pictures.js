// Shows items as pictures. An item is bytes [channels, height, width] with one or three channels.

/** Paint an item onto a canvas of its own size. */
export function paint(canvas, bytes, [channels, height, width]) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  const pixels = height * width;
  for (let i = 0; i < pixels; i += 1) {
    for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = bytes[(channels === 3 ? c : 0) * pixels + i];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The bytes of one item of many. */
export function item(bytes, [channels, height, width], index) {
  const size = channels * height * width;
  return bytes.subarray(index * size, (index + 1) * size);
}

/** A button that shows an item; `chosen` is called with the button when it is clicked. */
export function button(bytes, shape, label, chosen, caption = "") {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "picture";
  made.setAttribute("aria-label", label);
  const canvas = document.createElement("canvas");
  paint(canvas, bytes, shape);
  made.append(canvas);
  if (caption) made.append(Object.assign(document.createElement("small"), { textContent: caption }));
  made.addEventListener("click", () => chosen(made));
  return made;
}
