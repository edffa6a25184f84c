// Draws a picture with its overlays. One WebGL2 context serves every camera: browsers give out few of them.

// Levels of luma (0..1), the colour drawn from there on, and what it means. Grey between the coloured bands.
export const FALSE_COLOURS = [
  { from: 0.0, colour: [0.45, 0.1, 0.6], label: "crushed" },
  { from: 0.025, colour: [0.1, 0.3, 0.9], label: "2.5" },
  { from: 0.04, colour: null, label: "" },
  { from: 0.38, colour: [0.2, 0.7, 0.25], label: "18 % grey" },
  { from: 0.42, colour: null, label: "" },
  { from: 0.52, colour: [0.95, 0.6, 0.68], label: "skin" },
  { from: 0.56, colour: null, label: "" },
  { from: 0.97, colour: [0.98, 0.88, 0.2], label: "97" },
  { from: 0.99, colour: [0.93, 0.15, 0.12], label: "clipped" },
];

const vec = ([r, g, b]) => `vec3(${r.toFixed(3)}, ${g.toFixed(3)}, ${b.toFixed(3)})`;
const bands = FALSE_COLOURS.map(
  ({ from, colour }) => `  if (y >= ${from.toFixed(3)}) c = ${colour ? vec(colour) : "vec3(y)"};`,
).join("\n");

const VERTEX = `#version 300 es
out vec2 at;
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  at = vec2(corner.x, 1.0 - corner.y);
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D picture;
uniform vec2 size;
uniform bool falseColour, zebra, peaking;
uniform float zebraLevel, crawl;
in vec2 at;
out vec4 result;

float luma(vec3 c) { return dot(c, vec3(0.2126, 0.7152, 0.0722)); }
float lumaAt(vec2 step) { return luma(texture(picture, at + step / size).rgb); }

// Sobel: how steep the luma is here.
float edge() {
  float a = lumaAt(vec2(-1, -1)), b = lumaAt(vec2(0, -1)), c = lumaAt(vec2(1, -1));
  float d = lumaAt(vec2(-1, 0)), f = lumaAt(vec2(1, 0));
  float g = lumaAt(vec2(-1, 1)), h = lumaAt(vec2(0, 1)), i = lumaAt(vec2(1, 1));
  return length(vec2(c + 2.0 * f + i - a - 2.0 * d - g, g + 2.0 * h + i - a - 2.0 * b - c));
}

vec3 falseColours(float y) {
  vec3 c = vec3(y);
${bands}
  return c;
}

void main() {
  vec3 c = texture(picture, at).rgb;
  float y = luma(c);
  vec3 shown = falseColour ? falseColours(y) : c;
  if (peaking) {
    if (!falseColour) shown = mix(shown, vec3(y), 0.35);
    if (edge() > 0.55) shown = vec3(1.0, 0.16, 0.1);
  }
  if (zebra && y >= zebraLevel - 0.004) {
    vec2 pixel = at * size;
    shown = mod(pixel.x + pixel.y + crawl, 10.0) < 5.0 ? vec3(0.05) : vec3(0.95);
  }
  result = vec4(shown, 1.0);
}`;

export class Painter {
  #gl; #uniforms = {}; #texture;

  constructor() {
    this.#gl = document.createElement("canvas").getContext("webgl2", { alpha: false, antialias: false });
    if (this.#gl) this.#prepare();
  }

  get works() {
    return this.#gl !== null && !this.#gl.isContextLost();
  }

  #prepare() {
    const gl = this.#gl;
    gl.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    gl.canvas.addEventListener("webglcontextrestored", () => this.#build());
    this.#build();
  }

  #build() {
    const gl = this.#gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    for (const name of ["size", "falseColour", "zebra", "peaking", "zebraLevel", "crawl"]) {
      this.#uniforms[name] = gl.getUniformLocation(program, name);
    }
    this.#texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.#texture);
    gl.bindVertexArray(gl.createVertexArray());
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    for (const scale of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, scale, gl.LINEAR);
  }

  // Draw a picture onto a 2D canvas, which takes the picture's size.
  draw(target, drawable, width, height, overlays) {
    if (target.width !== width || target.height !== height) [target.width, target.height] = [width, height];
    const context = target.getContext("2d", { alpha: false });
    const wanted = overlays.falseColour || overlays.zebra || overlays.peaking;
    if (!wanted || !this.works) {
      context.drawImage(drawable, 0, 0, width, height);
      return;
    }
    const gl = this.#gl;
    if (gl.canvas.width !== width || gl.canvas.height !== height) [gl.canvas.width, gl.canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, drawable);
    gl.uniform2f(this.#uniforms.size, width, height);
    for (const name of ["falseColour", "zebra", "peaking"]) gl.uniform1i(this.#uniforms[name], overlays[name] ? 1 : 0);
    gl.uniform1f(this.#uniforms.zebraLevel, overlays.zebraLevel);
    gl.uniform1f(this.#uniforms.crawl, (performance.now() / 60) % 10);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    context.drawImage(gl.canvas, 0, 0);
  }
}
