//! `lockgate schema`: the JSON Schema of the configuration file.

use clap::Args;

use super::{Failure, print};
use crate::config::docs;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {}

const EXAMPLES: &str = "\
Examples:
  lockgate schema > lockgate.schema.json

Editors with a YAML language server check and complete a file that begins with
  # yaml-language-server: $schema=lockgate.schema.json";

pub(super) fn run(_: &Arguments) -> Result<(), Failure> {
    print(&format!("{:#}\n", docs::schema()))
}
