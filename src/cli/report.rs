//! Mistakes in a configuration, for people at a terminal.

use std::io::{self, IsTerminal};

use super::{Failure, Logging};
use crate::app::{self, Environment};
use crate::config::flags::{Flags, FlagsError};
use crate::config::problem::Style;
use crate::config::{Config, Error};
use crate::gateway::{Gateway, Problem};

/// The configuration that flags describe.
pub(super) fn config(flags: &Flags, logging: &Logging) -> Result<Config, Failure> {
    flags.load(&logging.surroundings()).map_err(|error| match error {
        FlagsError::Usage(messages) => {
            let mut text: Vec<_> = messages.iter().map(|message| format!("error: {message}")).collect();
            text.push("\nFor more information, try `--help`.".to_owned());
            Failure::Usage(text.join("\n"))
        }
        FlagsError::File(error) => Failure::Failed(file_error(&error, style())),
    })
}

/// The configuration, and all that it names.
pub(super) fn loaded(flags: &Flags, logging: &Logging) -> Result<(Config, Gateway), Failure> {
    let config = config(flags, logging)?;
    // What would fetch or connect has a runtime to be given to, which never runs it.
    let idle = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let idle = idle.map_err(|error| Failure::Failed(format!("error: {error}")))?;
    let secured = app::check_tls(&config);
    match app::load(&config, &Environment::for_inspection(idle.handle()), None, &[]) {
        Ok(gateway) if secured.is_empty() => Ok((config, gateway)),
        Ok(_) => Err(Failure::Failed(lines(&secured))),
        Err(problems) => Err(Failure::Failed(lines(&[problems, secured].concat()))),
    }
}

fn style() -> Style {
    let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if coloured { Style::Coloured } else { Style::Plain }
}

fn file_error(error: &Error, style: Style) -> String {
    match error {
        Error::Unreadable { .. } => format!("error: {error}"),
        Error::Invalid(invalid) => {
            let count = match invalid.problems().len() {
                1 => "1 mistake".to_owned(),
                many => format!("{many} mistakes"),
            };
            format!("{}\n\nerror: the configuration has {count}", invalid.render(style))
        }
    }
}

pub(super) fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| format!("error: {problem}")).collect();
    lines.join("\n")
}

/// The mistakes of a configuration that is read anew, for the log.
pub(super) fn problems(error: &FlagsError) -> Vec<Problem> {
    let nowhere = |message: String| Problem { place: String::new(), message };
    match error {
        FlagsError::Usage(messages) => messages.iter().cloned().map(nowhere).collect(),
        FlagsError::File(error @ Error::Unreadable { .. }) => vec![nowhere(error.to_string())],
        FlagsError::File(Error::Invalid(invalid)) => invalid
            .problems()
            .iter()
            .map(|problem| Problem {
                place: problem.place.to_string(),
                message: match &problem.help {
                    Some(help) => format!("{}; {help}", problem.message),
                    None => problem.message.clone(),
                },
            })
            .collect(),
    }
}
