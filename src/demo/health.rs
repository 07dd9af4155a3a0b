//! The health service of the shop's server: everything serves until the server stops.

use futures_util::stream;
use tokio::sync::watch;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::details::Failure;
use crate::pb::grpc::health::v1::health_check_response::ServingStatus;
use crate::pb::grpc::health::v1::health_server::Health;
use crate::pb::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};

/// Whether the server serves, by the name of its services.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// Becomes true when the server begins to stop.
    stopping: watch::Receiver<bool>,
    services: Vec<&'static str>,
}

impl Serving {
    pub(crate) fn new(services: Vec<&'static str>, stopping: watch::Receiver<bool>) -> Self {
        Self { stopping, services }
    }

    /// The empty name stands for the server as a whole.
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(&service)
    }

    fn status(&self) -> ServingStatus {
        if *self.stopping.borrow() { ServingStatus::NotServing } else { ServingStatus::Serving }
    }
}

#[tonic::async_trait]
impl Health for Serving {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        if !self.knows(service) {
            return Err(Failure::not_found("service", service).into());
        }
        Ok(Response::new(HealthCheckResponse { status: self.status().into() }))
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    /// The status now, and once more when it changes: the server stops only once, so the stream ends there.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.knows(&request.get_ref().service);
        let serving = self.clone();
        let first = if known { serving.status() } else { ServingStatus::ServiceUnknown };
        let states = stream::unfold((serving, Some(first)), move |(mut serving, next)| async move {
            if let Some(status) = next {
                return Some((Ok(HealthCheckResponse { status: status.into() }), (serving, None)));
            }
            if *serving.stopping.borrow_and_update() || serving.stopping.changed().await.is_err() || !known {
                return None;
            }
            let status = serving.status();
            Some((Ok(HealthCheckResponse { status: status.into() }), (serving, None)))
        });
        Ok(Response::new(Box::pin(states)))
    }
}
