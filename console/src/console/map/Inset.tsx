// What lies far out at sea, in a picture of its own with its own scale.
import type { ComponentChild } from "preact";
import { Overlay } from "./Overlay";
import type { Drawn } from "./drawing";
import type { Shape, Sheet } from "./plan";

interface Props {
  sheet: Sheet;
  shape: (one: Shape) => ComponentChild;
  onClick: (target: EventTarget | null) => void;
  drawn: Drawn;
}

export function Inset({ sheet, shape, onClick, drawn }: Props) {
  const { plane, shapes } = sheet;
  const name = shapes.map((one) => one.unit.name.replace(/^Đặc khu /, "")).join(", ");
  const keys = (event: KeyboardEvent) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    onClick(event.target);
  };
  return (
    <figure class="inset">
      <svg
        viewBox={`0 0 ${plane.width} ${plane.height}`} role="group" aria-label={name}
        onClick={(event) => onClick(event.target)} onKeyDown={keys}
      >
        {shapes.map(shape)}
        <Overlay plane={plane} drawn={drawn} unit={1} />
      </svg>
      <figcaption aria-hidden="true">{name}</figcaption>
    </figure>
  );
}
