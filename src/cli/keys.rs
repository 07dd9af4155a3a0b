//! `lockgate keys`: makes API keys, and the hashes that a file of keys holds.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, print};
use crate::auth::api_key::{self, MAX_KEY_BYTES};
use crate::auth::secret::Secret;
use crate::config::variables;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  lockgate keys new --id acme-1
  lockgate keys new --id acme-1 --pepper-file pepper
  printf '%s' \"$KEY\" | lockgate keys hash

A key is shown once, and can't be told again from its hash. Keys are never arguments: those are seen by other users.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key, and print it with its entry for the file of keys.
    New(New),
    /// Print the hash of the key on standard input.
    Hash(Hashing),
}

#[derive(Args, Debug)]
struct New {
    /// The name of the key, by which logs and limits know it.
    #[arg(long, value_name = "ID", env = "LOCKGATE_ID", default_value = "key-1")]
    id: String,

    #[command(flatten)]
    hashing: Hashing,
}

#[derive(Args, Debug)]
struct Hashing {
    /// The file with the provider's pepper, for an hmac-sha256 hash.
    #[arg(long, value_name = "FILE", env = "LOCKGATE_PEPPER_FILE")]
    pepper_file: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::New(new) => {
            let pepper = pepper(&new.hashing)?;
            let key = api_key::generate().map_err(|_| Failure::Failed("the system has no random numbers".into()))?;
            print(&entry(&key, &new.id, pepper.as_ref()))
        }
        Command::Hash(hashing) => {
            let pepper = pepper(hashing)?;
            let key = key(io::stdin().lock())?;
            print(&format!("{}\n", api_key::hash(&key, pepper.as_ref())))
        }
    }
}

/// The key, and its entry. A JSON text is a YAML text: the id needs no rules of its own.
pub(super) fn entry(key: &str, id: &str, pepper: Option<&Secret>) -> String {
    let hash = api_key::hash(key, pepper);
    let id = serde_json::Value::from(id);
    format!("# The key, shown this once; it goes to its owner alone:\n# {key}\n- {{ id: {id}, hash: \"{hash}\" }}\n")
}

fn pepper(hashing: &Hashing) -> Result<Option<Secret>, Failure> {
    let read = |path: &Path| {
        let text =
            variables::read_value(path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
        if text.is_empty() {
            return Err(Failure::Failed(format!("{}: it is empty, expected a pepper", path.display())));
        }
        Ok(Secret::new(text))
    };
    hashing.pepper_file.as_deref().map(read).transpose()
}

/// A line end after the key is the shell's, not the key's.
pub(super) fn key(input: impl Read) -> Result<String, Failure> {
    let limit = u64::try_from(MAX_KEY_BYTES + 2).unwrap_or(u64::MAX);
    let mut text = String::new();
    input.take(limit).read_to_string(&mut text)?;
    let key = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    // As a header's value it would lose what is around it, and could not hold the rest.
    if key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("standard input has no key, expected 1 to {MAX_KEY_BYTES} visible ASCII characters");
        return Err(Failure::Failed(message));
    }
    Ok(key.to_owned())
}
