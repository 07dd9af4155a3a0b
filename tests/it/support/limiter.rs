//! A rate limit service as Envoy's protocol has it: a tonic server that counts in fixed windows, at a moment that never
//! passes, and can be told to be slow, to hang, to fail, to answer nonsense, or to go and come back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lockgate::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use lockgate::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus, RateLimit};
use lockgate::pb::envoy::service::ratelimit::v3::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use lockgate::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Seconds of the units of a limit, by their numbers.
const UNITS: [u64; 6] = [1, 1, 60, 3_600, 86_400, 31 * 86_400];

/// The moment at which it counts: 20 seconds into a minute, 600 into an hour and into a day.
const NOW: u64 = 20_000 * 86_400 + 620;

/// What it does when it is asked.
#[derive(Clone, Debug, Default)]
pub(crate) enum Behaviour {
    #[default]
    Count,
    /// Counts, and takes this long to answer.
    Slow(Duration),
    Hang,
    Fail,
    Answer(RateLimitResponse),
}

/// What outlives a restart.
#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    counts: HashMap<String, u32>,
    /// All but those that ask whether it is there.
    questions: Vec<RateLimitRequest>,
}

/// A running service.
pub(crate) struct Limiter {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: Option<Runtime>,
}

impl Limiter {
    pub(crate) fn start() -> Self {
        let mut limiter = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), state: Arc::default(), runtime: None };
        limiter.come_back();
        limiter
    }

    /// Ends it with all its connections.
    pub(crate) fn go(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }

    /// Serves where it did, with the same counts.
    pub(crate) fn come_back(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(self.address)).expect("the port is free");
        self.address = listener.local_addr().unwrap();
        let service = RateLimitServiceServer::new(Service(self.state.clone()));
        let server = tonic::transport::Server::builder().add_service(service);
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        self.runtime = Some(runtime);
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    /// What it was asked so far.
    pub(crate) fn questions(&self) -> Vec<RateLimitRequest> {
        self.state.lock().unwrap().questions.clone()
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.go();
    }
}

struct Service(Arc<Mutex<State>>);

#[tonic::async_trait]
impl RateLimitService for Service {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let question = request.into_inner();
        let behaviour = {
            let mut state = self.0.lock().unwrap();
            if question.descriptors.iter().all(|descriptor| descriptor.limit.is_some()) {
                state.questions.push(question.clone());
            }
            state.behaviour.clone()
        };
        match behaviour {
            Behaviour::Count => Ok(Response::new(self.0.lock().unwrap().count(&question))),
            Behaviour::Slow(delay) => {
                tokio::time::sleep(delay).await;
                Ok(Response::new(self.0.lock().unwrap().count(&question)))
            }
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Fail => Err(Status::internal("limiter-secret")),
            Behaviour::Answer(answer) => Ok(Response::new(answer)),
        }
    }
}

impl State {
    /// As the service that Envoy's authors keep: every descriptor is counted, whatever the others say.
    fn count(&mut self, question: &RateLimitRequest) -> RateLimitResponse {
        let cost = question.hits_addend.max(1);
        let statuses: Vec<_> =
            question.descriptors.iter().map(|descriptor| self.count_one(&question.domain, descriptor, cost)).collect();
        let over = statuses.iter().any(|status| status.code() == Code::OverLimit);
        RateLimitResponse { overall_code: if over { Code::OverLimit } else { Code::Ok }.into(), statuses }
    }

    fn count_one(&mut self, domain: &str, descriptor: &RateLimitDescriptor, cost: u32) -> DescriptorStatus {
        let Some(limit) = descriptor.limit else {
            return DescriptorStatus { code: Code::Ok.into(), ..DescriptorStatus::default() };
        };
        let seconds = UNITS[usize::try_from(limit.unit).unwrap()];
        let count = self.counts.entry(format!("{domain} {:?} {seconds}", descriptor.entries)).or_default();
        *count += cost;
        let code = if *count > limit.requests_per_unit { Code::OverLimit } else { Code::Ok };
        let reset = seconds - NOW % seconds;
        DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit {
                requests_per_unit: limit.requests_per_unit,
                unit: limit.unit,
                name: String::new(),
            }),
            limit_remaining: limit.requests_per_unit.saturating_sub(*count),
            duration_until_reset: Some(prost_types::Duration { seconds: i64::try_from(reset).unwrap(), nanos: 0 }),
        }
    }
}
