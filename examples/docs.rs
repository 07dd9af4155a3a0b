//! Writes `docs/config.md` from the types of the configuration: `cargo run --example docs`.

fn main() -> std::io::Result<()> {
    std::fs::create_dir_all("docs")?;
    std::fs::write("docs/config.md", lockgate::config::docs::markdown())
}
