// Searching as people type on any keyboard: without accents, in any case, by the words' beginnings.

/** Lower case, no accents, đ as d, single spaces. */
export function plain(text: string): string {
  return text
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "")
    .replace(/[đĐ]/g, "d")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, " ")
    .trim();
}

/**
 * How well `query` fits `name`, 0 for not at all. Both are plain already. The whole name is best, then
 * its beginning, then the beginning of a word, then anything inside.
 */
export function fitness(name: string, query: string): number {
  if (query === "") return 0;
  if (name === query) return 4;
  if (name.startsWith(query)) return 3;
  if (` ${name}`.includes(` ${query}`)) return 2;
  return name.includes(query) ? 1 : 0;
}

/** Codes of units in a pasted text, whatever stands between them. */
export function codesIn(text: string): string[] {
  return [...new Set(text.match(/\b\d{5}\b/g) ?? [])];
}

/** Bytes of a text in UTF-8: what a payload's limit counts. */
export function utf8Bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
