//! The `lockgate` program: what it does is in [`lockgate::cli`].

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything can speak TLS. It fails only where a provider is installed, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    lockgate::cli::run()
}
