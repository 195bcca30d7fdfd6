//! Vendors that nobody sells, each a folder of `tests/connectors`: what an installation's own connectors need and the catalog's do not show.

use std::collections::HashMap;

use connectors::simulator::Simulator;
use connectors::{Catalog, Connector};
use domain::secret::SecretFields;
use include_dir::{Dir, include_dir};
use infra::simulator::Served;
use serde_json::{Value, json};

pub static CONNECTORS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/connectors");

/// A made-up vendor, simulated. Stops when dropped.
pub struct Vendor {
    pub served: Served,
    pub settings: Value,
    pub credential: Value,
}

impl Vendor {
    /// Starts on a free loopback port, with a secret of its own for each field of the credential.
    ///
    /// # Panics
    /// Where there is no such folder, or it cannot be simulated.
    pub async fn start(name: &str) -> Self {
        Self::of(Self::connector(name, str::to_owned), false).await
    }

    /// One whose account is limited otherwise than its connector says: by this line in the place of its limits. It keeps to it.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn limited(name: &str, limit: &str) -> Self {
        let edit = |yaml: &str| {
            let (before, rest) = yaml.split_once("\nlimits:\n").expect("the connector has limits");
            let (_, after) = rest.split_once("\n\n").expect("something follows them");
            format!("{before}\nlimits:\n  - {limit}\n\n{after}")
        };
        Self::of(Self::connector(name, edit), true).await
    }

    fn connector(name: &str, edit: impl Fn(&str) -> String) -> &'static Connector {
        let folder = CONNECTORS.get_dir(name).expect("the vendor has a folder");
        let files = folder.files().chain(folder.dirs().flat_map(Dir::files));
        let file = |file: &include_dir::File<'_>| {
            let name = file.path().strip_prefix(name).ok()?.to_str()?.to_owned();
            let text = file.contents_utf8()?;
            let text = if name == "connector.yaml" { edit(text) } else { text.to_owned() };
            Some((name, text))
        };
        let files: HashMap<String, String> = files.filter_map(file).collect();
        let connector = Connector::from_files(name, files).expect("the folder is sound");
        // A simulator borrows its connector; a test's lives as long as the test's process.
        Box::leak(Box::new(connector))
    }

    /// One of the catalog, with a secret of its own for each of these fields of the credential.
    ///
    /// # Panics
    /// Where there is no such connector, or it cannot be simulated.
    pub async fn of_catalog(name: &str, fields: &[&str]) -> Self {
        Self::with_fields(Catalog::embedded().get(name).expect("the catalog has it"), fields, false).await
    }

    /// Any connector, with a secret of its own for each of these fields of the credential.
    ///
    /// # Panics
    /// Where it cannot be simulated.
    pub async fn of_connector(connector: &'static Connector, fields: &[&str]) -> Self {
        Self::with_fields(connector, fields, false).await
    }

    async fn of(connector: &'static Connector, is_limited: bool) -> Self {
        let fields: Vec<&str> = connector.credential().keys().map(String::as_str).collect();
        Self::with_fields(connector, &fields, is_limited).await
    }

    async fn with_fields(connector: &'static Connector, fields: &[&str], is_limited: bool) -> Self {
        let secrets: Vec<(&str, String)> = fields.iter().map(|field| (*field, format!("made-up-{field}"))).collect();
        let fields: SecretFields = secrets.iter().map(|(name, secret)| ((*name).to_owned(), secret.as_str().into())).collect();
        let mut settings = json!({"base_url": "http://127.0.0.1"});
        let simulator = Simulator::new(connector, 1, settings.clone(), fields).expect("the vendor can be simulated");
        let simulator = simulator.with_records(0).with_limits(is_limited);
        let served = Served::start(simulator, ([127, 0, 0, 1], 0).into()).await.expect("a loopback port is free");
        settings["base_url"] = served.url().into();
        let credential = secrets.into_iter().map(|(name, secret)| (name.to_owned(), Value::from(secret))).collect();
        Self { served, settings, credential }
    }
}
