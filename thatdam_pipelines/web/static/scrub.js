// The pictures along a clip: sprite sheets with WebVTT cues `<sheet>#xywh=x,y,w,h`.

const sheets = new Map();

export function sheetOf(links) {
  if (!sheets.has(links.sprite)) sheets.set(links.sprite, load(links).catch(() => null));
  return sheets.get(links.sprite);
}

async function load(links) {
  const answer = await fetch(links.sprite_vtt);
  if (!answer.ok) return null;
  const tiles = [...(await answer.text()).matchAll(/^([\d:.]+) --> [\d:.]+\n.*#xywh=(\d+),(\d+),(\d+),(\d+)$/gm)].map((found) => ({
    start: seconds(found[1]),
    box: found.slice(2).map(Number),
  }));
  const image = new Image();
  image.src = links.sprite;
  await image.decode();
  return tiles.length ? { image, tiles } : null;
}

function seconds(clock) {
  return clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

// Draws the tile of a time on a canvas, which takes the tile's size.
export function drawTile(canvas, sheet, time) {
  const { box } = sheet.tiles.findLast((tile) => tile.start <= time) ?? sheet.tiles[0];
  const [x, y, width, height] = box;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").drawImage(sheet.image, x, y, width, height, 0, 0, width, height);
}
