//! The threads of a process: the runtime's, those on which file work blocks, and, of these, what
//! name servers may hold.
//!
//! A thread that blocks is never given back while work keeps coming: the runtime ends one that was
//! idle for ten seconds, and wakes whichever has been idle longest. So their number only rises, by
//! every moment in which one more was needed, and each keeps memory of its own. It is bounded here.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Threads that may block at once. Every store's readers, the log's and some more: what comes then
/// waits, each for milliseconds.
const BLOCKING_MAX: usize = 48;
/// Look-ups of names at once, of each kind. Each has a thread for as long as a name server says
/// nothing, whether or not anybody still waits for it, and the stores need theirs.
const LOOK_UPS_MAX: usize = 8;

/// Look-ups of hosts that whoever runs this chose: providers, the login.
pub static OURS: LookUps = LookUps(Semaphore::const_new(LOOK_UPS_MAX));
/// Look-ups of hosts that strangers chose, whose name servers may never answer: those of browsers'
/// push services. What they hold, nobody else lacks.
pub static STRANGERS: LookUps = LookUps(Semaphore::const_new(LOOK_UPS_MAX));

/// A runtime with a worker for each core.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().max_blocking_threads(BLOCKING_MAX).enable_all().build()
}

/// Look-ups of names, so many at once.
#[derive(Debug)]
pub struct LookUps(Semaphore);

impl LookUps {
    /// The addresses of a host by the system's resolver, each with the port. One that is an address
    /// itself is not looked up.
    pub async fn look_up(&'static self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let host = host.to_owned();
        holding(&self.0, move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
    }

    /// Takes all of them until it is dropped.
    #[cfg(test)]
    pub async fn hold_all(&self) -> SemaphorePermit<'_> {
        self.0.acquire_many(LOOK_UPS_MAX as u32).await.expect("nobody closes it")
    }
}

/// Does work on a thread that may block, once there is a permit. That goes with the work: who does
/// not wait any longer does not free it early.
async fn holding<T: Send + 'static>(
    permits: &'static Semaphore,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let permit: SemaphorePermit<'static> = permits.acquire().await.map_err(io::Error::other)?;
    let task = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    task.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError, mpsc};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn an_address_is_its_own_and_a_name_is_looked_up() {
        for (host, address) in [("192.0.2.1", "192.0.2.1:443"), ("::1", "[::1]:443")] {
            let found = OURS.look_up(host, 443).await.expect("an address");
            assert_eq!(found, [address.parse::<SocketAddr>().expect("an address")]);
        }
        let found = OURS.look_up("localhost", 80).await.expect("every machine knows it");
        assert!(found.iter().all(|one| one.ip().is_loopback() && one.port() == 80), "{found:?}");
        assert!(OURS.look_up("a name\0", 80).await.is_err());
    }

    #[test]
    fn no_more_than_so_many_threads_block_and_all_work_is_done() {
        let (began, begins) = mpsc::channel::<()>();
        let (end, ends) = mpsc::channel::<()>();
        let ends = Arc::new(Mutex::new(ends));
        let runtime = runtime().expect("a runtime");
        let work = (0..BLOCKING_MAX + 5).map(|_| {
            let (began, ends) = (began.clone(), ends.clone());
            runtime.spawn_blocking(move || {
                began.send(()).expect("the test listens");
                ends.lock().unwrap_or_else(PoisonError::into_inner).recv().expect("the test ends");
            })
        });
        let work: Vec<_> = work.collect();
        for _ in 0..BLOCKING_MAX {
            begins.recv().expect("it begins");
        }
        assert!(begins.recv_timeout(Duration::from_millis(50)).is_err(), "the others wait");
        for _ in &work {
            end.send(()).expect("it hangs");
        }
        for one in work {
            runtime.block_on(one).expect("it was done");
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_longer_keeps_its_permit_until_it_ends() {
        static ONE: Semaphore = Semaphore::const_new(1);
        let (end, ends) = mpsc::channel::<()>();
        let hangs = holding(&ONE, move || ends.recv().map_err(io::Error::other));
        assert!(tokio::time::timeout(Duration::from_millis(20), hangs).await.is_err());
        assert_eq!(ONE.available_permits(), 0, "its thread still hangs");
        end.send(()).expect("it hangs");
        holding(&ONE, || Ok(())).await.expect("there is room again");
    }
}
