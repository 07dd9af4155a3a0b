//! Gateways in front of backends other than the usual one, which tests share.

use std::sync::LazyLock;

use super::gateway::Gateway;
use super::scripted;

/// In front of the server whose calls are scripted.
pub(crate) fn scripted() -> &'static Gateway {
    static SHARED: LazyLock<Gateway> = LazyLock::new(|| Gateway::flags(scripted::address()));
    &SHARED
}
