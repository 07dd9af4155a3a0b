//! The configurations that the README and `examples/` print run as they are printed.

use std::fs;

use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, lockgate, repository};
use crate::support::process::run;
use crate::support::tls::Authority;

/// A key set as a file: the public key of RFC 7515, appendix A.3.
const KEY_SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// A folder with the files that the configurations name.
fn surroundings() -> Folder {
    let folder = Folder::new();
    let set = fs::read(repository("descriptors/shop.binpb")).expect("the demo's set is there");
    folder.write("descriptors/shop.binpb", set);
    folder.write("keys/users.json", KEY_SET);
    Authority::new().issue(&["api.test"]).write(&folder, "tls/api");
    let hash = "0".repeat(64);
    folder.write("keys/machines.yaml", format!("keys: [{{ id: acme-1, hash: \"sha256:{hash}\", plan: free }}]\n"));
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key can be made");
    folder.write("tls/gateway.pem", key.serialize_pem());
    folder
}

/// The blocks of YAML in a text.
fn blocks(text: &str) -> Vec<&str> {
    text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[track_caller]
fn runs(folder: &Folder, configuration: &str) {
    let file = folder.write("lockgate.yaml", configuration);
    let checked = run(lockgate().arg("check").arg("-c").arg(&file));
    assert_eq!(checked.code, Some(0), "{configuration}\n{}{}", checked.stdout, checked.stderr);
    // Its ports may be taken on this machine: others are as good.
    let usual = ["127.0.0.1:8080", "127.0.0.1:9901", "0.0.0.0:8080", "0.0.0.0:8443"];
    let moved = usual.iter().fold(configuration.to_owned(), |text, address| text.replace(address, "127.0.0.1:0"));
    let listeners = if moved.contains("listeners:") { "" } else { "listeners: { public: { address: 127.0.0.1:0 } }\n" };
    let admin = if moved.contains("admin:") { "" } else { "admin: { address: 127.0.0.1:0 }\n" };
    let file = folder.write("lockgate.yaml", format!("{listeners}{admin}{moved}"));
    let gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file));
    gateway.ask("/readyz").expect(200);
}

#[test]
fn every_example_runs() {
    let folder = surroundings();
    for name in ["edge", "shared-limits", "sidecar"] {
        let path = repository(&format!("examples/{name}/lockgate.yaml"));
        runs(&folder, &fs::read_to_string(path).expect("it is there"));
    }
}

#[test]
fn every_configuration_in_the_readme_runs() {
    let readme = fs::read_to_string(repository("README.md")).expect("it is there");
    let folder = surroundings();
    let blocks = blocks(&readme);
    assert!(blocks.len() >= 4, "{}", blocks.len());
    for block in blocks {
        runs(&folder, block);
    }
}
