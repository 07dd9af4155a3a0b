//! Connections by the address that they come from, over all workers of a listener.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limit::key::address_key;

/// The connections that are open. There are no more entries than connections.
#[derive(Debug)]
pub(super) struct Peers {
    limit: usize,
    // The hash is keyed: addresses are the clients' to choose.
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them, counted while it is held.
#[derive(Debug)]
pub(super) struct Counted {
    peers: Arc<Peers>,
    key: IpAddr,
}

impl Peers {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, open: Mutex::default() }
    }

    /// Counts one more, if there may be one.
    pub(super) fn count(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let key = address_key(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key).or_default();
        // An entry that was just made is below any limit, which is at least one.
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Counted { peers: self.clone(), key })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! Limits, and that nothing is left of connections that are gone.

    use super::Peers;
    use std::sync::Arc;

    #[test]
    fn each_address_has_its_own_limit_and_gives_back_what_it_took() {
        let peers = Arc::new(Peers::new(2));
        let count = |address: &str| peers.count(address.parse().unwrap());
        let first = count("192.0.2.1").unwrap();
        let _second = count("192.0.2.1").unwrap();
        assert!(count("192.0.2.1").is_none());
        assert!(count("192.0.2.2").is_some());
        drop(first);
        assert!(count("192.0.2.1").is_some());
        let one = count("2001:db8::1").unwrap();
        let other = count("2001:db8::ffff").unwrap();
        assert!(count("2001:db8:0:0:1::").is_none());
        assert!(count("2001:db8:0:1::").is_some());
        drop((one, other, _second));
        assert!(peers.open.lock().unwrap().is_empty());
    }
}
