//! Phones behind the simulated providers: each push is received, shown, and told back.

use tokio::sync::mpsc;

use crate::domain::receipt::Stage;
use crate::simulator::citizens::uplink::Post;
use crate::simulator::citizens::{Population, Tally, Uplink};
use crate::simulator::record::Delivered;

/// Answers pushes until the providers end. A repeat replaces the notification on the screen (same
/// collapse id) and is not told back again.
pub async fn answer_pushes(
    mut deliveries: mpsc::Receiver<Delivered>,
    population: Population,
    (tally, uplink): (Tally, Uplink),
) {
    while let Some(delivered) = deliveries.recv().await {
        let Some(device) = population.by_token(&delivered.token) else { continue };
        if tally.saw(delivered.publication, device, delivered.channel) {
            let publication = delivered.publication;
            uplink.send(Post { device, publication, stage: Stage::Shown }).await;
        }
    }
}
