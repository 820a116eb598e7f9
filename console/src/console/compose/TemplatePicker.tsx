// The first question: what is happening?
import { pick, t } from "../../shared/language";
import { LevelChip } from "../../shared/LevelChip";
import type { Template } from "../types";
import { Icon } from "../ui/Icon";

const HAZARDS: Record<string, [string, string]> = {
  "flood-tide": ["Triều cường", "Flood tide"], "heavy-rain": ["Mưa lớn, ngập", "Heavy rain"],
  storm: ["Bão", "Storm"], fire: ["Cháy, nổ", "Fire"], air: ["Không khí", "Air"],
  "water-cut": ["Cúp nước", "Water cut"], traffic: ["Giao thông", "Traffic"],
  health: ["Y tế, dịch bệnh", "Health"], security: ["An ninh", "Security"],
};

export function hazardName(hazard: string): string {
  const words = HAZARDS[hazard];
  return words ? t(words[0], words[1]) : hazard;
}

export function TemplatePicker(props: {
  templates: Template[]; chosen: string | null; onPick: (template: Template) => void;
}) {
  return (
    <div class="tiles" role="group" aria-label={t("Mẫu theo loại thiên tai, sự cố", "Templates by hazard")}>
      {props.templates.map((template) => (
        <button
          type="button" class="tile" key={template.id} aria-pressed={template.id === props.chosen}
          title={pick(template.texts).headline} onClick={() => props.onPick(template)}
        >
          <Icon name={template.hazard} />
          <span class="tile-name">{hazardName(template.hazard)}</span>
          <LevelChip level={template.level} severity={template.severity} />
        </button>
      ))}
    </div>
  );
}
