// Histogram and waveform of a picture, measured on a small copy of it.

const WIDTH = 256, HEIGHT = 144, LEVELS = 256;
const small = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d", { willReadFrequently: true, alpha: false });

export function measure(drawable) {
  small.drawImage(drawable, 0, 0, WIDTH, HEIGHT);
  const { data } = small.getImageData(0, 0, WIDTH, HEIGHT);
  const red = new Uint32Array(LEVELS), green = new Uint32Array(LEVELS), blue = new Uint32Array(LEVELS);
  const luma = new Uint32Array(LEVELS), wave = new Uint16Array(WIDTH * LEVELS);
  for (let i = 0, x = 0; i < data.length; i += 4, x = (x + 1) % WIDTH) {
    const r = data[i], g = data[i + 1], b = data[i + 2];
    const y = Math.round(0.2126 * r + 0.7152 * g + 0.0722 * b);
    red[r]++; green[g]++; blue[b]++; luma[y]++;
    wave[x * LEVELS + y]++;
  }
  return { red, green, blue, luma, wave, pixels: WIDTH * HEIGHT };
}

const trace = new OffscreenCanvas(WIDTH, LEVELS).getContext("2d");

// A canvas as many pixels as it is shown with, cleared.
function prepare(canvas) {
  const sharp = Math.min(2, devicePixelRatio);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * sharp) || 1);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "source-over";
  context.fillStyle = "#0c0d0e";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return context;
}

export function drawHistogram(canvas, measured) {
  const context = prepare(canvas);
  const { width, height } = canvas;
  context.strokeStyle = "#2f3135";
  for (const part of [0.25, 0.5, 0.75]) {
    context.beginPath();
    context.moveTo(Math.round(part * width) + 0.5, 0);
    context.lineTo(Math.round(part * width) + 0.5, height);
    context.stroke();
  }
  // Scaled to the tallest bin between the ends, so that a clipped picture does not flatten the rest.
  const inner = Math.max(...["red", "green", "blue", "luma"].map((name) => Math.max(...measured[name].subarray(2, 254))));
  const top = Math.max(inner, measured.pixels / 256);
  context.globalCompositeOperation = "lighter";
  for (const [name, colour] of [["red", "#9c2b28"], ["green", "#2b7a36"], ["blue", "#2a4fa8"], ["luma", "#4a4c50"]]) {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(0, height);
    measured[name].forEach((count, level) => {
      const y = height - Math.min(1, Math.sqrt(count / top)) * (height - 4);
      context.lineTo((level / LEVELS) * width, y);
      context.lineTo(((level + 1) / LEVELS) * width, y);
    });
    context.lineTo(width, height);
    context.fill();
  }
  context.globalCompositeOperation = "source-over";
  // Clipping at either end, as a mark that is seen from a distance.
  context.fillStyle = "#f0443e";
  if (measured.luma[255] + measured.luma[254] > measured.pixels * 0.01) context.fillRect(width - 4, 0, 4, height);
  context.fillStyle = "#5a8dff";
  if (measured.luma[0] + measured.luma[1] > measured.pixels * 0.01) context.fillRect(0, 0, 4, height);
}

export function drawWaveform(canvas, measured) {
  const context = prepare(canvas);
  const { width, height } = canvas;
  // As many rows as are shown: scaling rows down would dim a thin line.
  const image = trace.createImageData(WIDTH, height);
  for (let x = 0; x < WIDTH; x++) {
    for (let level = 0; level < LEVELS; level++) {
      const count = measured.wave[x * LEVELS + level];
      if (!count) continue;
      const row = Math.round((1 - level / (LEVELS - 1)) * (height - 1));
      const light = Math.min(255, 90 + count * 26 + image.data[(row * WIDTH + x) * 4 + 1]);
      image.data.set([light * 0.62, light, light * 0.7, 255], (row * WIDTH + x) * 4);
    }
  }
  if (trace.canvas.height !== height) trace.canvas.height = height;
  trace.putImageData(image, 0, 0);
  context.drawImage(trace.canvas, 0, 0, width, height);
  context.font = `${Math.round(height / 10)}px ui-monospace, monospace`;
  for (const level of [0, 25, 50, 75, 100]) {
    const y = Math.min(height - 0.5, Math.round((1 - level / 100) * height) + 0.5);
    context.strokeStyle = level === 0 || level === 100 ? "rgb(160 164 170 / .55)" : "rgb(160 164 170 / .25)";
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
    context.fillStyle = "#b4b7bd";
    if (level % 50 === 0) context.fillText(String(level), 3, level === 100 ? y + height / 9 : y - 3);
  }
}
