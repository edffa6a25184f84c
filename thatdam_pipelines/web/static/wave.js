// The sound of a clip as peaks over time, from the waveform that was made of it (JSON of audiowaveform).

import { get } from "./api.js";

// Draws as wide as the canvas is shown; says whether there was something to draw.
export async function drawWave(canvas, address) {
  const { data } = await get(address).catch(() => ({ data: [] }));
  const pairs = data.length / 2;
  const width = (canvas.width = Math.round((canvas.parentElement.clientWidth || 960) * devicePixelRatio));
  const draw = canvas.getContext("2d");
  draw.fillStyle = getComputedStyle(canvas).color;
  const middle = canvas.height / 2;
  const peaks = Array.from({ length: width }, (_, column) => {
    const start = Math.floor((column * pairs) / width);
    const end = Math.max(start + 1, Math.floor(((column + 1) * pairs) / width));
    return data.slice(2 * start, 2 * end).reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);
  });
  const top = Math.max(1, ...peaks);
  peaks.forEach((peak, column) => {
    const height = Math.max(0.5, (peak / top) * middle);
    draw.fillRect(column, middle - height, 1, 2 * height);
  });
  return pairs > 0;
}
