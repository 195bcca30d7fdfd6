//! `crossdock connector new`: a folder that is a connector already: it lints, it can be simulated, and its tests pass. Whoever fills it in
//! replaces one made-up line after the other and keeps it so.

use std::path::{Path, PathBuf};

use super::Failure;

const FILES: [(&str, &str); 5] = [
    ("connector.yaml", include_str!("scaffold/connector.yaml")),
    ("order.yaml", include_str!("scaffold/order.yaml")),
    ("samples/order_paid.in.json", include_str!("scaffold/order_paid.in.json")),
    ("samples/order_cancelled.in.json", include_str!("scaffold/order_cancelled.in.json")),
    ("setup.md", include_str!("scaffold/setup.md")),
];

/// Writes the folder, and says where it is.
pub fn create(name: &str, catalog: &Path) -> Result<PathBuf, Failure> {
    if !connectors::import::openapi::is_name(name) {
        return Err(format!("\"{name}\" is no name for a connector: lower-case letters, digits and dashes").into());
    }
    let folder = catalog.join(name);
    if folder.exists() {
        return Err(format!("{} is there already; choose another name", folder.display()).into());
    }
    std::fs::create_dir_all(folder.join("samples"))?;
    for (file, text) in FILES {
        std::fs::write(folder.join(file), text.replace("acme", name).replace("Acme", &title(name)))?;
    }
    Ok(folder)
}

/// `blue-hats` is called `Blue Hats`.
fn title(name: &str) -> String {
    let word = |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>();
    name.split('-').map(word).collect::<Vec<_>>().join(" ")
}
