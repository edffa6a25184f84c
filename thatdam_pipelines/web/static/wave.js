// The sound of a clip as peaks over time, from its 16-bit mono WAV.

const LARGEST = 32e6;
const WAV_HEADER = 44;

// Draws as wide as the canvas is shown; says whether there was something to draw.
export async function drawWave(canvas, address) {
  const head = await fetch(address, { method: "HEAD" });
  if (!head.ok || Number(head.headers.get("Content-Length")) > LARGEST) return false;
  const samples = evenSamples(await (await fetch(address)).arrayBuffer());
  const width = (canvas.width = Math.round((canvas.parentElement.clientWidth || 960) * devicePixelRatio));
  const draw = canvas.getContext("2d");
  draw.fillStyle = getComputedStyle(canvas).color;
  const middle = canvas.height / 2;
  const peaks = Array.from({ length: width }, (_, column) => peak(samples, Math.floor((column * samples.length) / width), Math.floor(((column + 1) * samples.length) / width)));
  const top = Math.max(1, ...peaks);
  peaks.forEach((height, column) => draw.fillRect(column, middle - (height / top) * middle, 1, Math.max(1, (2 * height * middle) / top)));
  return samples.length > 0;
}

function evenSamples(wav) {
  return new Int16Array(wav, WAV_HEADER, Math.max(0, Math.floor((wav.byteLength - WAV_HEADER) / 2)));
}

function peak(samples, start, end) {
  let greatest = 0;
  const stride = Math.max(1, Math.floor((end - start) / 400));
  for (let at = start; at < end; at += stride) greatest = Math.max(greatest, Math.abs(samples[at]));
  return greatest;
}
