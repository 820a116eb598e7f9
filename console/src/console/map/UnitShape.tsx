// One unit on the map: an element of its own, with a name, a place in the tab order and a mark that
// does not depend on its colour.
import { memo } from "../ui/memo";
import type { Shape } from "./plan";

export interface Look {
  /** What the style sheet paints: `whole`, `part`, `reach-3` … */
  kind: string;
  /** What a screen reader and the tooltip add to the name. */
  words: string;
}

interface Props {
  shape: Shape;
  kind: string;
  words: string;
  checkable: boolean;
  checked: boolean;
  inert: boolean;
  tabbable: boolean;
}

export const UnitShape = memo(function UnitShape(props: Props) {
  const { shape, kind, words, checkable, checked, inert, tabbable } = props;
  const name = words === "" ? shape.unit.name : `${shape.unit.name}, ${words}`;
  return (
    <path
      d={shape.path}
      class={`unit ${kind}`}
      data-code={shape.unit.code}
      role={checkable ? "checkbox" : "img"}
      aria-checked={checkable ? checked : undefined}
      aria-label={name}
      tabindex={inert ? undefined : tabbable ? 0 : -1}
    >
      <title>{name}</title>
    </path>
  );
});
