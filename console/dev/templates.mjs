// Two templates for the development server; a node serves its own.
export const templates = [
  {
    id: "flood-tide", hazard: "flood-tide", category: "Met", severity: "Severe", urgency: "Expected", certainty: "Likely",
    response_types: ["Avoid", "Prepare"], level: 3, expires_minutes: 360,
    texts: {
      vi: { event: "Triều cường", headline: "Triều cường gây ngập sâu chiều nay", description: "Đỉnh triều dự báo 1,75 m vào khoảng 17 giờ. Nhiều tuyến đường thấp ven sông có thể ngập 30–60 cm.", instruction: "Không đi qua đường ngập. Đưa xe và đồ điện lên cao. Ngắt điện nếu nước vào nhà." },
      en: { event: "Flood tide", headline: "Flood tide: deep flooding this afternoon", description: "The tide is forecast to peak at 1.75 m around 17:00. Low roads by the river may be flooded 30–60 cm deep.", instruction: "Do not cross flooded roads. Move vehicles and electrical goods up. Switch the power off if water comes in." },
    },
  },
  {
    id: "water-cut", hazard: "water-cut", category: "Infra", severity: "Minor", urgency: "Future", certainty: "Observed",
    response_types: ["Prepare"], level: 1, expires_minutes: 720,
    texts: {
      vi: { event: "Cúp nước", headline: "Cúp nước đêm nay", description: "Ngừng cấp nước từ 22 giờ đến 5 giờ để sửa đường ống.", instruction: "Trữ nước đủ dùng." },
      en: { event: "Water cut", headline: "No water tonight", description: "The supply stops from 22:00 to 05:00 for repairs.", instruction: "Store what you need." },
    },
  },
];
