// What has been drawn, and what is being drawn.
import { closed, type Projection } from "../../shared/geo";
import { radiusKm, type Drawing, type Drawn } from "./drawing";

export function Overlay(props: { plane: Projection; drawn: Drawn; drawing?: Drawing; unit: number }) {
  const { plane, drawn, drawing, unit } = props;
  const line = (points: [number, number][]) =>
    points.map(([lat, lon]) => `${plane.x(lon)},${plane.y(lat)}`).join(" ");
  return (
    <g class="drawn" aria-hidden="true">
      {drawn.polygons.map((polygon, i) => (
        <polygon key={i} class="area" points={line(polygon)} />
      ))}
      {drawn.circles.map(({ centre, radius_km }, i) => (
        <circle key={i} class="area" cx={plane.x(centre[1])} cy={plane.y(centre[0])} r={radius_km * plane.perKm} />
      ))}
      {drawing && drawing.tool === "polygon" && (
        <g class="drawing">
          <polygon class="area" points={line(drawing.corners)} />
          <polyline
            class={drawing.fault === "crosses" ? "edge bad" : "edge"}
            points={line(drawing.cursor ? [...drawing.corners, drawing.cursor] : closed(drawing.corners))}
          />
          {drawing.corners.map(([lat, lon], i) => (
            <circle key={i} class={i === 0 ? "corner first" : "corner"} cx={plane.x(lon)} cy={plane.y(lat)} r={6 * unit} />
          ))}
        </g>
      )}
      {drawing && drawing.tool === "circle" && drawing.centre && (
        <g class="drawing">
          <circle class="corner" cx={plane.x(drawing.centre[1])} cy={plane.y(drawing.centre[0])} r={5 * unit} />
          {drawing.cursor && (
            <circle
              class="area" cx={plane.x(drawing.centre[1])} cy={plane.y(drawing.centre[0])}
              r={radiusKm(drawing.centre, drawing.cursor) * plane.perKm}
            />
          )}
        </g>
      )}
      {drawing && drawing.tool !== "select" && drawing.cursor && (
        <path
          class="cross"
          d={`M${plane.x(drawing.cursor[1]) - 12 * unit} ${plane.y(drawing.cursor[0])}h${24 * unit}M${plane.x(drawing.cursor[1])} ${plane.y(drawing.cursor[0]) - 12 * unit}v${24 * unit}`}
        />
      )}
    </g>
  );
}
