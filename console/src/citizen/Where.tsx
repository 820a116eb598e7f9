// Where an alert holds, in the page's language: the agency's own words where it wrote them in that
// language, and the units' names before any words in another.
import { useEffect, useState } from "preact/hooks";
import { language, t } from "../shared/language";
import { ask } from "./device";
import type { Publication, Unit } from "./types";
import { textOf } from "./words";

/** Names that are shown; a whole city has 168. */
const SHOWN_MAX = 8;
const ENGLISH: Record<string, string> = { Phường: "ward", Xã: "commune", "Đặc khu": "special zone" };

function nameOf(name: string): string {
  if (language.get() !== "en") return name;
  const kind = Object.keys(ENGLISH).find((one) => name.startsWith(`${one} `));
  return kind === undefined ? name : `${name.slice(kind.length + 1)} ${ENGLISH[kind]}`;
}

export function Where({ publication }: { publication: Publication }) {
  const text = textOf(publication);
  const written = text.areas ?? [];
  const own = text.language.startsWith(language.get()) ? written : [];
  const codes = publication.area?.units ?? [];
  const needed = own.length === 0 && codes.length > 0;
  const [units, setUnits] = useState<Unit[]>([]);
  useEffect(() => {
    if (needed) ask<{ units: Unit[] }>("GET", "/v1/units", undefined, {}).then((all) => setUnits(all.units)).catch(() => undefined);
  }, [needed]);
  const inside = units.filter(({ code }) => codes.includes(code)).map(({ name }) => nameOf(name));
  const more = inside.length - SHOWN_MAX;
  const names = inside.slice(0, SHOWN_MAX).join(", ") + (more > 0 ? t(` và ${more} nơi khác`, ` and ${more} more`) : "");
  const others = publication.texts.filter((one) => one.areas && one.areas.length > 0);
  const foreign = own.length > 0 ? undefined : (written.length > 0 ? text : others[0]);
  if (own.length === 0 && names === "" && foreign === undefined) return null;
  return (
    <p data-test="where">
      <strong>{t("Khu vực", "Area")}:</strong> {own.length > 0 ? own.join("; ") : names}
      {foreign && <> {names !== "" && "– "}<span lang={foreign.language}>{foreign.areas!.join("; ")}</span></>}
    </p>
  );
}
