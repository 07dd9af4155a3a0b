//! The demo: a small shop as three gRPC services, served in this process over loopback.
//!
//! `lockgate demo` puts the gateway in front of it, and the integration tests use it as the upstream that real
//! services are. Everything is in memory and bounded, starts the same every time, and is gone with the process.
//! The services are described in `proto/shop/`.

mod catalog;
mod creation;
mod details;
mod export;
mod fingerprint;
mod health;
mod mask;
mod orders;
mod page;
mod picture;
mod reflection;
pub mod request;
mod seed;
mod shelf;
#[cfg(test)]
mod tests;
mod users;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::server::NamedService;
use tonic::transport::server::{Router, TcpIncoming};

use crate::pb;
use crate::pb::grpc::health::v1::health_server::HealthServer;
use crate::pb::grpc::reflection::v1::server_reflection_server::ServerReflectionServer;
use crate::pb::grpc::reflection::v1alpha::server_reflection_server::ServerReflectionServer as ServerReflectionAlphaServer;
use crate::pb::shop::catalog::v1::catalog_service_server::CatalogServiceServer;
use crate::pb::shop::orders::v1::order_service_server::OrderServiceServer;
use crate::pb::shop::users::v1::user_service_server::UserServiceServer;
use catalog::Catalog;
use health::Serving;
use orders::Orders;
use reflection::Reflection;
use request::Request;
use users::Users;

/// How long calls in flight may take to end once the shop stops.
const GRACE: Duration = Duration::from_secs(2);

/// The descriptors of the shop's services with their imports: the file `descriptors/shop.binpb`.
pub const DESCRIPTORS: &[u8] = include_bytes!("../../descriptors/shop.binpb");

/// The requests that `lockgate demo` prints, for a gateway that listens here.
#[must_use]
pub fn requests(listen: SocketAddr) -> Vec<Request> {
    Request::all(listen)
}

/// A running shop. It begins to stop when it is dropped.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Shop {
    /// Serves a fresh shop on a free port of the loopback interface, with health and reflection.
    ///
    /// # Errors
    /// The port can't be bound.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stopping, stopped) = watch::channel(false);
        let router = router(&stopped)?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = router.serve_with_incoming_shutdown(incoming, until(stopped.clone()));
        let server = tokio::spawn(async move {
            tokio::select! {
                // A broken listener ends the demo's upstream; the gateway then says that it is unavailable.
                _ = serving => {}
                () = async { until(stopped).await; tokio::time::sleep(GRACE).await } => {}
            }
        });
        Ok(Self { address, stopping, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, and waits for those in flight for a while.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        if let Err(error) = (&mut self.server).await
            && error.is_panic()
        {
            tracing::error!(%error, "the demo's server failed");
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
    }
}

/// Everything that the shop's server answers.
fn router(stopped: &watch::Receiver<bool>) -> io::Result<Router> {
    let services = [
        UserServiceServer::<Users>::NAME,
        CatalogServiceServer::<Catalog>::NAME,
        OrderServiceServer::<Orders>::NAME,
        HealthServer::<Serving>::NAME,
        ServerReflectionServer::<Reflection>::NAME,
        ServerReflectionAlphaServer::<Reflection>::NAME,
    ];
    let reflection = Reflection::new(pb::DESCRIPTORS, &services).map_err(io::Error::other)?;
    let users = Arc::new(Users::seeded());
    let catalog = Catalog::seeded();
    let orders = Orders::seeded(Arc::clone(&users), catalog.clone(), stopped.clone());
    Ok(tonic::transport::Server::builder()
        .add_service(UserServiceServer::from_arc(users))
        .add_service(CatalogServiceServer::new(catalog))
        .add_service(OrderServiceServer::new(orders))
        .add_service(HealthServer::new(Serving::new(services.to_vec(), stopped.clone())))
        .add_service(ServerReflectionServer::new(reflection.clone()))
        .add_service(ServerReflectionAlphaServer::new(reflection)))
}

/// Ends when the shop stops.
async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, and the shop with it.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
