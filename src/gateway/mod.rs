//! Citizens: HTTP, websocket and event-stream sessions.
