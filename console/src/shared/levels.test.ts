// The levels' colours are kept once for the pages, in tokens.css: they are the node's own, and can be
// read beside their ink and told from the ground in both themes.
import { expect, test } from "vitest";
import node from "../../../src/domain/level.rs?raw";
import { LEVELS } from "./levels";
import css from "./tokens.css?raw";

const light = css.slice(css.indexOf(":root {"), css.indexOf(":root:not"));
const dark = css.slice(css.indexOf(':root[data-theme="dark"]'));

function token(name: string, block = light): string {
  const found = block.match(new RegExp(`--${name}: (#[0-9a-f]{6})`))?.[1];
  if (found === undefined) throw new Error(`no --${name}`);
  return found;
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

function contrast(one: string, other: string): number {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high! + 0.05) / (low! + 0.05);
}

test("the five colours are the node's, and their words can be read on them", () => {
  const hexes = [...node.matchAll(/"#([0-9A-F]{6})"/g)].map((found) => `#${found[1]!.toLowerCase()}`);
  expect(LEVELS.map((level) => token(`l${level.number}`))).toEqual(hexes);
  for (const { number } of LEVELS) {
    expect(contrast(token(`l${number}`), token(`l${number}-ink`)), `level ${number}`).toBeGreaterThanOrEqual(4.5);
  }
});

test("text, links and signs can be read on every ground of both themes", () => {
  for (const block of [light, dark]) {
    for (const ground of ["ground", "surface", "raised", "sunken"]) {
      for (const ink of ["ink", "ink-soft", "brand", "good", "warn", "bad"]) {
        expect(contrast(token(ground, block), token(ink, block)), `${ink} on ${ground}`).toBeGreaterThanOrEqual(4.5);
      }
      expect(contrast(token(ground, block), token("line-strong", block)), `edges on ${ground}`).toBeGreaterThanOrEqual(3);
    }
    for (const kind of ["good", "warn", "bad"]) {
      expect(contrast(token(`${kind}-wash`, block), token(kind, block)), kind).toBeGreaterThanOrEqual(4.5);
    }
  }
});
