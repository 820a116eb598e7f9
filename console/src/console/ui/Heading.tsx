// A page's heading: where the keyboard goes after a change of page.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";

export function Heading({ text, children }: { text: string; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${text} – Loa`;
  }, [text]);
  return (
    <header class="page-head">
      <h1 tabIndex={-1}>{text}</h1>
      {children}
    </header>
  );
}
