//! `lockgate check`: every mistake in a configuration and in what it names, or a summary.

use clap::Args;

use super::{Failure, Logging, print, report};
use crate::config::Config;
use crate::config::flags::Flags;
use crate::gateway::Gateway;
use crate::server;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

const EXAMPLES: &str = "\
Examples:
  lockgate check --config lockgate.yaml
  lockgate check --descriptors shop.binpb --upstream 127.0.0.1:50051

Mistakes go to stderr, and the exit code is 1; nothing is connected to. Exit code 2: the flags are wrong.";

pub(super) fn run(arguments: &Arguments, logging: &Logging) -> Result<(), Failure> {
    let (config, gateway) = report::loaded(&arguments.flags, logging)?;
    print(&Summary::of(&config, &gateway).print())
}

/// What a sound configuration comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    /// Each with its address.
    pub listeners: Vec<String>,
    pub upstreams: usize,
    pub methods: usize,
    pub routes: usize,
    /// Services that no upstream serves.
    pub unserved: Vec<String>,
    /// Upstreams whose descriptors are known only once they answer.
    pub reflected: Vec<String>,
}

impl Summary {
    fn of(config: &Config, gateway: &Gateway) -> Self {
        let listeners = config.listeners.iter().map(|listener| match &listener.address {
            server::config::Address::Tcp(address) => format!("{} at {address}", listener.name),
            server::config::Address::Unix(path) => format!("{} at unix:{}", listener.name, path.display()),
        });
        Self {
            listeners: listeners.collect(),
            upstreams: config.gateway.upstreams.len(),
            methods: gateway.schema().methods().len(),
            routes: gateway.endpoints().len(),
            unserved: gateway.unserved().to_vec(),
            reflected: config.descriptors.reflection.clone(),
        }
    }

    pub(super) fn print(&self) -> String {
        let mut text = format!(
            "ok: {}, {}, {}, {}\n",
            count(self.listeners.len(), "listener"),
            count(self.upstreams, "upstream"),
            count(self.methods, "method"),
            count(self.routes, "route"),
        );
        for listener in &self.listeners {
            text.push_str(&format!("  listener {listener}\n"));
        }
        for service in &self.unserved {
            text.push_str(&format!("  note: no upstream serves {service}, it has no routes\n"));
        }
        for upstream in &self.reflected {
            text.push_str(&format!("  note: the services of upstream {upstream} are asked for when serving\n"));
        }
        text
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
