//! Connections: opened lazily, given up as a whole when one of them fails, opened anew by whoever
//! asks next. A group talks to one server process, so what a connection of the group confirms
//! holds for what another one wrote.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{fs, io};

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, RedisFuture, RedisResult,
    TlsCertificates, TlsMode, Value,
};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use crate::store::Failure;
use crate::store::redis::confirm::Rounds;
use crate::store::redis::settings::{Layout, Settings};

/// Time a new connection may take, TLS and authentication included.
const CONNECT: Duration = Duration::from_secs(2);

/// One connection; clones share it.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    Server(MultiplexedConnection),
    /// To the nodes of a cluster, one connection each.
    Cluster(ClusterConnection),
}

/// Connections that were opened together.
pub struct Group {
    /// For commands, used in turn.
    commands: Vec<Connection>,
    turn: AtomicUsize,
    /// Counters that this node follows were looked at over these connections, before anything else.
    pub lifted: OnceCell<()>,
    /// Who waits for replicas over these connections.
    pub rounds: Rounds,
    /// For WAIT, which blocks its connection.
    pub waiting: Connection,
}

impl Group {
    fn of(commands: Vec<Connection>, waiting: Connection) -> Self {
        Self {
            commands,
            turn: AtomicUsize::new(0),
            lifted: OnceCell::new(),
            rounds: Rounds::default(),
            waiting,
        }
    }

    /// The next connection.
    pub fn next(&self) -> Connection {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.commands[turn % self.commands.len()].clone()
    }
}

/// The way to the servers.
pub struct Links {
    layout: Layout,
    access: Access,
    connections: usize,
    current: Mutex<Option<Arc<Group>>>,
}

/// How a connection is made.
struct Access {
    redis: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
    timeout: Duration,
}

impl Links {
    /// Reads the files that the settings name; connects to nothing yet.
    pub fn new(settings: &Settings) -> Result<Self, Failure> {
        let mut redis = RedisConnectionInfo::default();
        if let Some(username) = &settings.username {
            redis = redis.set_username(username);
        }
        if let Some(password) = &settings.password {
            redis = redis.set_password(password.expose());
        }
        let read = |path: &PathBuf| fs::read(path).map_err(|error| named(path, &error));
        let root_cert = settings.ca_file.as_ref().map(read).transpose()?;
        let client_tls = match &settings.identity {
            Some((certificate, key)) => {
                Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
            }
            None => None,
        };
        let certificates = (root_cert.is_some() || client_tls.is_some())
            .then_some(TlsCertificates { client_tls, root_cert });
        Ok(Self {
            layout: settings.layout.clone(),
            access: Access { redis, certificates, timeout: settings.command_timeout },
            connections: settings.connections,
            current: Mutex::default(),
        })
    }

    /// The group in use, or a new one.
    pub async fn group(&self) -> RedisResult<Arc<Group>> {
        // Held while connecting: the others wait for the same connections.
        let mut current = self.current.lock().await;
        if let Some(group) = &*current {
            return Ok(Arc::clone(group));
        }
        let group = Arc::new(self.open().await?);
        *current = Some(Arc::clone(&group));
        Ok(group)
    }

    /// Gives up a group that failed, unless somebody did.
    pub async fn give_up(&self, failed: &Arc<Group>) {
        let mut current = self.current.lock().await;
        // A cluster's connection finds its way by itself, and knows more than a new one.
        if matches!(self.layout, Layout::Cluster(_)) {
            return;
        }
        if current.as_ref().is_some_and(|group| Arc::ptr_eq(group, failed)) {
            *current = None;
        }
    }

    async fn open(&self) -> RedisResult<Group> {
        let mut commands = Vec::with_capacity(self.connections);
        if let Layout::Cluster(urls) = &self.layout {
            let client = self.access.cluster(urls)?;
            for _ in 0..self.connections {
                commands.push(Connection::Cluster(client.get_async_connection().await?));
            }
            let waiting = Connection::Cluster(client.get_async_connection().await?);
            return Ok(Group::of(commands, waiting));
        }
        let client = self.client().await?;
        // WAIT answers after its own time limit, which the caller bounds.
        let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT));
        let patient = limits.clone().set_response_timeout(None);
        let limits = limits.set_response_timeout(Some(self.access.timeout));
        for _ in 0..self.connections {
            let connection = client.get_multiplexed_async_connection_with_config(&limits).await?;
            commands.push(Connection::Server(connection));
        }
        let waiting = client.get_multiplexed_async_connection_with_config(&patient).await?;
        let group = Group::of(commands, Connection::Server(waiting));
        self.check_same(&group).await?;
        Ok(group)
    }

    /// A failover in the middle of connecting leaves a group with two servers in it.
    async fn check_same(&self, group: &Group) -> RedisResult<()> {
        let mut first: Option<String> = None;
        for connection in group.commands.iter().chain([&group.waiting]) {
            let info = redis::cmd("INFO").arg("server").to_owned();
            let info: String = info.query_async(&mut connection.clone()).await?;
            let run_id = super::check::field(&info, "run_id").unwrap_or_default().to_owned();
            if *first.get_or_insert_with(|| run_id.clone()) != run_id {
                let text = "the primary changed while connecting";
                return Err(RedisError::from(io::Error::new(io::ErrorKind::NotConnected, text)));
            }
        }
        Ok(())
    }

    /// A connection that listens to channels.
    pub async fn listen(&self) -> RedisResult<PubSub> {
        let client = match &self.layout {
            // Any node hears what is published on any other.
            Layout::Cluster(urls) => self.first_of(urls).await?,
            _ => self.client().await?,
        };
        within(CONNECT, client.get_async_pubsub()).await
    }

    /// The servers whose settings are looked at when the node starts.
    pub async fn servers(&self) -> RedisResult<Vec<MultiplexedConnection>> {
        let clients = match &self.layout {
            Layout::Cluster(urls) => {
                urls.iter().map(|url| self.access.client(url.clone())).collect::<Result<_, _>>()?
            }
            _ => vec![self.client().await?],
        };
        let mut servers = Vec::new();
        for client in clients {
            servers.push(within(CONNECT, client.get_multiplexed_async_connection()).await?);
        }
        Ok(servers)
    }

    async fn client(&self) -> RedisResult<Client> {
        match &self.layout {
            Layout::Single(url) => self.access.client(url.clone()),
            Layout::Cluster(urls) => self.first_of(urls).await,
            Layout::Sentinel { sentinels, master_name } => {
                let mut last = RedisError::from((ErrorKind::EmptySentinelList, "no Sentinel"));
                for url in sentinels {
                    match self.access.primary(url, master_name).await {
                        Ok(client) => return Ok(client),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    async fn first_of(&self, urls: &[Url]) -> RedisResult<Client> {
        let mut last = RedisError::from((ErrorKind::InvalidClientConfig, "no server is named"));
        for url in urls {
            let client = self.access.client(url.clone())?;
            match within(CONNECT, client.get_multiplexed_async_connection()).await {
                Ok(_) => return Ok(client),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Access {
    fn info(&self, url: Url) -> RedisResult<ConnectionInfo> {
        let info = url.into_connection_info()?.set_redis_settings(self.redis.clone());
        Ok(info.set_tcp_settings(tcp()))
    }

    fn client(&self, url: Url) -> RedisResult<Client> {
        let secure = url.scheme() == "rediss";
        match &self.certificates {
            Some(certificates) if secure => {
                Client::build_with_tls(self.info(url)?, certificates.clone())
            }
            _ => Client::open(self.info(url)?),
        }
    }

    fn cluster(&self, urls: &[Url]) -> RedisResult<ClusterClient> {
        let infos: Vec<_> =
            urls.iter().map(|url| self.info(url.clone())).collect::<Result<_, _>>()?;
        let secure = urls.iter().any(|url| url.scheme() == "rediss");
        let mut builder = ClusterClientBuilder::new(infos)
            .tcp_settings(tcp())
            .connection_timeout(CONNECT)
            .response_timeout(self.timeout)
            .retries(2);
        if secure {
            builder = builder.tls(TlsMode::Secure);
        }
        if let Some(certificates) = self.certificates.clone().filter(|_| secure) {
            builder = builder.certs(certificates);
        }
        builder.build()
    }

    /// Asks one Sentinel for the primary. It is asked without our password, as Sentinels have
    /// their own; the primary's address has the scheme of the Sentinel's.
    async fn primary(&self, sentinel: &Url, name: &str) -> RedisResult<Client> {
        let info = self.info(sentinel.clone())?.set_redis_settings(RedisConnectionInfo::default());
        let client = match &self.certificates {
            Some(certificates) if sentinel.scheme() == "rediss" => {
                Client::build_with_tls(info, certificates.clone())?
            }
            _ => Client::open(info)?,
        };
        let ask = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            let mut cmd = redis::cmd("SENTINEL");
            cmd.arg("get-master-addr-by-name").arg(name).query_async(&mut connection).await
        };
        let found: Option<(String, u16)> = within(CONNECT, ask).await?;
        let Some((host, port)) = found else {
            let text = "the Sentinel does not know store.redis.master_name";
            return Err(RedisError::from((ErrorKind::MasterNameNotFoundBySentinel, text)));
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let url = format!("{}://{host}:{port}", sentinel.scheme()).parse().map_err(|error| {
            let text = format!("a Sentinel names {host}:{port}: {error}");
            RedisError::from((ErrorKind::InvalidClientConfig, "not an address", text))
        })?;
        self.client(url)
    }
}

/// The crate leaves Nagle's algorithm on, which holds small commands back for 40 ms.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

async fn within<T>(limit: Duration, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = || RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
}

fn named(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("store.redis: {}: {error}", path.display()))
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(server) => server.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(server) => server.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        0
    }
}
