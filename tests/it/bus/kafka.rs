//! What holds on Kafka alone: brokers that die, groups that share, clusters that are not set up.

mod faults;
mod forgotten;
mod groups;
mod injected;
mod secure;
mod setup;

use loa::bus::kafka::Settings as Cluster;
use loa::bus::{Bus, Settings, TopicId};
use loa::clock::Clock;
use loa::domain::lane::Lane;

use crate::bus::tail;

const TOPIC: TopicId = TopicId::Publications(Lane::Emergency);

async fn open(cluster: &Cluster) -> Bus {
    let settings = Settings::kafka(cluster.clone());
    Bus::open(&settings, Clock::System).await.expect("the log opens")
}

/// Every record of the topic, as key and text, partition by partition.
async fn everything(bus: &Bus) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for partition in 0..bus.partitions(TOPIC) {
        let bounds = bus.bounds(TOPIC, partition).await.expect("it exists");
        let mut reader = bus.reader(TOPIC, partition, bounds.start).await.expect("in range");
        let read = tail(&mut reader, (bounds.end - bounds.start) as usize).await;
        all.extend(read.into_iter().map(|delivery| {
            let text = String::from_utf8(delivery.payload.to_vec()).expect("text");
            (delivery.key, text)
        }));
    }
    all
}
