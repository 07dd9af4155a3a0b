//! `lockgate demo`: the embedded shop behind the gateway, on the same path that `serve` takes.

use std::net::SocketAddr;

use clap::Args;
use tokio::runtime::Runtime;

use super::{Failure, Logging, report};
use crate::app;
use crate::config::Config;
use crate::config::flags::Flags;
use crate::demo::{self, Shop};

#[derive(Args, Debug)]
#[command(
    after_help = "The shop's services run in this process, in memory, and are reached over gRPC on the loopback \
                        interface like any other upstream."
)]
pub(super) struct Arguments {
    /// Where to listen: `IP:PORT`. [default: 127.0.0.1:8080]
    #[arg(short, long, value_name = "ADDRESS", env = "LOCKGATE_LISTEN")]
    listen: Option<String>,

    /// Where the admin server (health, metrics) listens: `IP:PORT`, or `off`. [default: 127.0.0.1:9901]
    #[arg(short, long, value_name = "ADDRESS", env = "LOCKGATE_ADMIN")]
    admin: Option<String>,

    /// Worker threads: a number, or `auto` for one a core. [default: auto]
    #[arg(short, long, value_name = "N", env = "LOCKGATE_WORKERS")]
    workers: Option<String>,
}

pub(super) fn run(arguments: &Arguments, logging: &Logging) -> Result<(), Failure> {
    logging.start();
    let failed = |message: String| Failure::Failed(format!("error: {message}"));
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let shop = Shop::start().await?;
        let config = config(arguments, &shop, logging)?;
        let again = config.clone();
        let served = app::run_on(config, Box::new(move || Ok(again.clone())), introduction).await;
        shop.stop().await;
        served.map_err(|error| failed(error.to_string()))
    })
}

fn config(arguments: &Arguments, shop: &Shop, logging: &Logging) -> Result<Config, Failure> {
    let flags = Flags {
        embedded: Some(demo::DESCRIPTORS),
        upstream: vec![format!("shop={}", shop.address())],
        listen: arguments.listen.clone(),
        admin: arguments.admin.clone(),
        workers: arguments.workers.clone(),
        ..Flags::default()
    };
    report::config(&flags, logging)
}

/// What the shop is, and requests to paste.
fn introduction(listen: Option<SocketAddr>) -> String {
    let mut text = "A small shop: three gRPC services in this process, served as REST. Try:\n".to_owned();
    for request in listen.map(demo::requests).unwrap_or_default() {
        text.push_str(&format!("\n# {}\n{}\n", request.title, request.curl));
    }
    text.push('\n');
    text
}
