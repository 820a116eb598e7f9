#!/usr/bin/env python3
"""Makes approximate.geojson: a stand-in for the units' boundaries, from centres and areas only.

    pip install vietnamadminunits==1.0.4 numpy
    python3 geofences/hcmc/approximate.py

A power diagram: a point belongs to the unit with the least |x - centre|^2 - weight. The weights
start at the square of each unit's radius (that of a disc of its stated area) and are moved until
the cells' areas approach the stated ones, no further than keeps each centre well inside its cell.

The outline is not drawn, it follows: on land the units of the neighbouring provinces stand in the
same diagram and hold the border; towards the sea a cell ends at a disc around its centre, of at
most REACH radii, drawn in until a cell without neighbours on that side has its stated area. Côn
Đảo, alone in the sea, is the disc of its area. SOURCES.md says how close the outcome is.
"""

import json
import math
import sqlite3
from pathlib import Path

import numpy as np

from derive import CITY, package_data

HERE = Path(__file__).parent
ISLAND = "26732"
MIDDLE_LAT = 10.9
WINDOW = (9.9, 12.1, 105.8, 108.3)  # lat, lat, lon, lon: the mainland and its neighbours
NEAR_KM = 25  # a neighbouring province's unit farther from every unit of the city is left out
REACH = 1.3  # a cell's farthest point, in radii of its area's disc: an ellipse of axes 5 : 3
KEEP = 0.5  # a border stays at least a quarter of the way from one centre to the next
STEPS = 40
SIDES = 48
RIVALS = 60  # the nearest centres that may cut a cell


def km_per_degree(lat):
    """Kilometres of a degree of longitude and of latitude on WGS 84."""
    f = math.radians(lat)
    return np.array([111.41513 * math.cos(f) - 0.09455 * math.cos(3 * f),
                     111.13209 - 0.56605 * math.cos(2 * f) + 0.0012 * math.cos(4 * f)])


def read_units():
    """(code, centre lon/lat, area, whether it is the city's); the city's own first."""
    db = sqlite3.connect(package_data() / "dataset.db")
    rows = db.execute(
        "SELECT wardCode, wardLon, wardLat, wardAreaKm2, provinceKey = ? FROM admin_units"
        " WHERE wardLat BETWEEN ? AND ? AND wardLon BETWEEN ? AND ?"
        " ORDER BY provinceKey <> ?, wardCode", (CITY, *WINDOW, CITY)).fetchall()
    island = db.execute("SELECT wardLon, wardLat, wardAreaKm2 FROM admin_units"
                        " WHERE wardCode = ?", (ISLAND,)).fetchone()
    return rows, island


def near(rows, scale):
    """Drops the neighbours that cannot touch the city."""
    centre = np.array([row[1:3] for row in rows]) * scale
    radius = np.sqrt(np.array([row[3] for row in rows]) / math.pi)
    ours = np.array([row[4] == 1 for row in rows])
    gap = np.linalg.norm(centre[:, None] - centre[None, ours], axis=2)
    gap -= radius[:, None] + radius[None, ours]
    return [row for row, distance in zip(rows, gap.min(axis=1)) if row[4] or distance < NEAR_KM]


def disc(centre, radius):
    """A polygon of SIDES sides with the area of the disc."""
    turn = 2 * math.pi / SIDES
    radius = radius * math.sqrt(turn / math.sin(turn))
    angle = np.arange(SIDES) * turn
    return centre + radius * np.c_[np.cos(angle), np.sin(angle)]


def cut(points, normal, offset):
    """The part of a convex polygon where x . normal <= offset."""
    side = points @ normal - offset
    if (side <= 0).all():
        return points
    kept = []
    for k, (here, there) in enumerate(zip(np.roll(points, 1, axis=0), points)):
        a, b = side[k - 1], side[k]
        if (a <= 0) != (b <= 0):
            kept.append(here + (there - here) * (a / (a - b)))
        if b <= 0:
            kept.append(there)
    return np.array(kept).reshape(-1, 2)


def cell(i, centre, weight, reach, rivals):
    """Unit i's power cell within its disc."""
    points = disc(centre[i], reach[i])
    for j in rivals[i]:
        offset = (centre[j] @ centre[j] - centre[i] @ centre[i] + weight[i] - weight[j]) / 2
        points = cut(points, centre[j] - centre[i], offset)
    return points


def area(points):
    x, y = points.T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def fit(centre, wanted):
    """The cells whose areas come near the wanted ones."""
    square = ((centre[:, None] - centre[None]) ** 2).sum(axis=2)
    rivals = np.argsort(square, axis=1)[:, 1:RIVALS]
    most = KEEP * square
    np.fill_diagonal(most, np.inf)
    radius = np.sqrt(wanted / math.pi)
    weight, reach = radius**2, REACH * radius
    for step in range(STEPS):
        for _ in range(20):
            weight = np.minimum(weight, (weight[None] + most).min(axis=1))
        cells = [cell(i, centre, weight, reach, rivals) for i in range(len(centre))]
        got = np.array([area(points) for points in cells])
        if step == STEPS - 1:
            return cells, got
        lack = np.clip((wanted - got) / wanted, -0.5, 0.5)
        weight = weight + 0.3 * lack * wanted / math.pi
        reach = np.clip(reach * (1 + 0.3 * lack), 0.9 * radius, REACH * radius)


def feature(code, ring):
    ring = [[round(float(lon), 5), round(float(lat), 5)] for lon, lat in ring]
    return {"type": "Feature", "properties": {"code": code},
            "geometry": {"type": "Polygon", "coordinates": [ring + ring[:1]]}}


def main():
    rows, island = read_units()
    scale = km_per_degree(MIDDLE_LAT)
    rows = near(rows, scale)
    centre = np.array([row[1:3] for row in rows]) * scale
    # The plane is true at MIDDLE_LAT; elsewhere the wanted areas are scaled as the plane is.
    wanted = np.array([row[3] * scale.prod() / km_per_degree(row[2]).prod() for row in rows])
    cells, got = fit(centre, wanted)
    features = [feature(row[0], points / scale) for row, points in zip(rows, cells) if row[4]]
    lon, lat, square_km = island
    ring = disc(np.zeros(2), math.sqrt(square_km / math.pi)) / km_per_degree(lat) + [lon, lat]
    features = sorted(features + [feature(ISLAND, ring)], key=lambda f: f["properties"]["code"])
    error = np.abs(got - wanted)[[row[4] == 1 for row in rows]]
    share = error / wanted[: len(error)]
    print(f"{len(features)} units beside {len(rows) - len(error)} neighbours;"
          f" area off by {np.median(share):.1%} in the median, {share.max():.0%} at most")
    lines = ",\n".join(json.dumps(f, separators=(",", ":")) for f in features)
    out = '{"type":"FeatureCollection","features":[\n' + lines + "\n]}\n"
    (HERE / "approximate.geojson").write_text(out, encoding="utf-8")


if __name__ == "__main__":
    main()
