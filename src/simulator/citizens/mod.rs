//! Simulated citizens: phones behind the simulated providers and real websocket clients, that
//! receive, show and acknowledge as an app would, over real sockets.

mod phones;
mod population;
mod tally;
mod uplink;
mod websockets;

pub use phones::answer_pushes;
pub use population::{Citizen, Mix, Population};
pub use tally::{Summary, Tally};
pub use uplink::{Told, Uplink};
pub use websockets::hold_sockets;
