//! Hot first: while emergency work can run on a node, personal and routine work waits.
//!
//! A worker holds a [`Hot`] guard while an emergency dispatch has something to send now, and so
//! does every node for the first moments of an emergency, wherever its dispatches go. Work that
//! only waits for a retry does not hold it, so a provider's outage does not stop the other lanes.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::lane::Lane;

/// Counts the runnable emergency dispatches of a node. Clones share the count.
#[derive(Clone, Debug)]
pub struct Gate {
    hot: Arc<watch::Sender<usize>>,
}

/// Runnable emergency work; dropping it lets the others go on.
#[derive(Debug)]
pub struct Hot {
    hot: Arc<watch::Sender<usize>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { hot: Arc::new(watch::Sender::new(0)) }
    }
}

impl Gate {
    /// Declares runnable work of a lane; only emergency work holds the others back.
    pub fn enter(&self, lane: Lane) -> Option<Hot> {
        (lane == Lane::Emergency).then(|| {
            self.hot.send_modify(|count| *count += 1);
            Hot { hot: Arc::clone(&self.hot) }
        })
    }

    /// Waits until a lane may send.
    pub async fn pass(&self, lane: Lane) {
        if lane == Lane::Emergency || *self.hot.borrow() == 0 {
            return;
        }
        let mut hot = self.hot.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = hot.wait_for(|count| *count == 0).await;
    }
}

impl Drop for Hot {
    fn drop(&mut self) {
        self.hot.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn routine_waits_while_emergency_work_is_runnable() {
        let gate = Gate::default();
        let mut context = Context::from_waker(Waker::noop());
        let first = gate.enter(Lane::Emergency).expect("emergency holds the gate");
        let second = gate.enter(Lane::Emergency).expect("emergency holds the gate");
        assert!(gate.enter(Lane::Routine).is_none());
        let mut routine = pin!(gate.pass(Lane::Routine));
        assert_eq!(routine.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(pin!(gate.pass(Lane::Emergency)).poll(&mut context), Poll::Ready(()));
        drop(first);
        assert_eq!(routine.as_mut().poll(&mut context), Poll::Pending);
        drop(second);
        assert_eq!(routine.as_mut().poll(&mut context), Poll::Ready(()));
    }
}
