//! Which servers answer: another name after a restart or a failover, so that a store can ask what
//! they may have lost.

use crate::store::Failure;
use crate::store::redis::settings::Layout;
use crate::store::redis::{Redis, check};

impl Redis {
    /// The run ids of the servers; of a cluster also its epoch, which rises with each failover.
    pub async fn incarnation(&self) -> Result<String, Failure> {
        // Answered with patience; the servers asked below are those that answered.
        self.ask::<()>(&redis::cmd("PING")).await?;
        let servers = self.0.links.servers().await?;
        let cluster = matches!(self.0.settings.layout, Layout::Cluster(_));
        let mut names = Vec::with_capacity(servers.len());
        for mut server in servers {
            let info = redis::cmd("INFO").arg("server").to_owned();
            let info: String = info.query_async(&mut server).await?;
            names.push(check::field(&info, "run_id").unwrap_or_default().to_owned());
            if cluster {
                let info = redis::cmd("CLUSTER").arg("INFO").to_owned();
                let info: String = info.query_async(&mut server).await?;
                let epoch = check::field(&info, "cluster_current_epoch").unwrap_or_default();
                names.push(epoch.to_owned());
            }
        }
        Ok(names.join(" "))
    }
}
