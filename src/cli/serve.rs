//! `lockgate serve`: what flags or a file describe, until a signal.

use clap::Args;

use super::{Failure, Logging, report};
use crate::app;
use crate::config::flags::Flags;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

const EXAMPLES: &str = "\
Examples:
  lockgate serve --descriptors shop.binpb --upstream 127.0.0.1:50051
  lockgate serve --reflect --upstream https://grpc.example.com --listen 0.0.0.0:8080
  lockgate serve -d descriptors/ -u acme.users.*=10.0.0.1:50051 -u acme.orders.*=10.0.0.2:50051
  lockgate serve --config lockgate.yaml --workers 4

It is ready once a line on stdout says where it listens, and /readyz on the admin address answers 200.
Without a configuration file it serves every method to whoever reaches it: nothing is authenticated.";

pub(super) fn run(arguments: Arguments, logging: &Logging) -> Result<(), Failure> {
    let Arguments { flags } = arguments;
    let config = report::config(&flags, logging)?;
    logging.start();
    let surroundings = logging.surroundings();
    let reread = move || flags.load(&surroundings).map_err(|error| report::problems(&error));
    app::run(config, Box::new(reread)).map_err(|error| Failure::Failed(format!("error: {error}")))
}
