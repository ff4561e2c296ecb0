//! `[scaler]`: how many nodes the load needs, and what happens then.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jetreel_domain::scale::locals::Bounds;
use jetreel_domain::scale::policy::{Policy, Step};
use reqwest::Url;
use serde::Deserialize;

use super::sections::optional;

/// `[scaler]`: the rules, and what carries them out.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scaler {
    pub nodes_min: u32,
    pub nodes_max: u32,
    pub target_drain_seconds: f64,
    pub hysteresis: f64,
    pub stable_seconds: f64,
    pub cooldown_seconds: f64,
    pub above: Vec<Step>,
    pub below: Vec<Step>,
    /// `None` disables the hook.
    #[serde(deserialize_with = "optional")]
    pub hook: Option<Target>,
    /// Value of the header `Authorization` of a URL.
    #[serde(deserialize_with = "optional")]
    pub hook_authorization: Option<String>,
    /// Time limit of one call.
    pub hook_seconds: u64,
    pub local: LocalNodes,
    /// Whether this node opens as many slots as the scaler wants, at most `node.slots`.
    pub size_slots: bool,
}

/// `scaler.local`: node processes on the machine of the scaler.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalNodes {
    pub min: u32,
    /// 0: none are started.
    pub max: u32,
    /// Folder of their data and locks.
    pub folder: PathBuf,
}

/// What a hook calls.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A command line for `/bin/sh`.
    Command(String),
    /// A URL that is called with `POST`.
    Url(Url),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match scheme.filter(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric())) {
            None => Ok(Self::Command(text.to_owned())),
            Some("http" | "https") => {
                text.parse().map(Self::Url).map_err(|error| format!("it is no URL: {error}"))
            }
            Some(_) => Err("a URL must begin with http:// or https://".to_owned()),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Settings are logged, and a URL or a command may contain a secret.
        f.write_str(match self {
            Self::Command(_) => "Command",
            Self::Url(_) => "Url",
        })
    }
}

impl fmt::Debug for Scaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scaler")
            .field("policy", &self.policy())
            .field("hook", &self.hook)
            .field("local", &self.local)
            .field("size_slots", &self.size_slots)
            .finish_non_exhaustive()
    }
}

impl Scaler {
    /// The rules for the number of nodes.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            nodes_min: self.nodes_min,
            nodes_max: self.nodes_max,
            target_drain_seconds: self.target_drain_seconds,
            hysteresis: self.hysteresis,
            stable_seconds: self.stable_seconds,
            cooldown_seconds: self.cooldown_seconds,
            above: self.above.clone(),
            below: self.below.clone(),
        }
    }
}

impl LocalNodes {
    /// Bounds of their number; `None` if none are started.
    #[must_use]
    pub fn bounds(&self) -> Option<Bounds> {
        (self.max > 0).then_some(Bounds { min: self.min, max: self.max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_a_url_or_a_command() {
        let parsed = |text: &str| text.parse::<Target>();
        assert!(matches!(parsed("http://127.0.0.1:9/x?k=hush"), Ok(Target::Url(_))));
        let command = "/opt/scale.sh --url http://cloud.test/";
        assert_eq!(parsed(command), Ok(Target::Command(command.to_owned())));
        assert!(parsed("ftp://cloud.test/").is_err() && parsed("https://").is_err());
        assert!(!format!("{:?}", parsed("http://a/hush")).contains("hush"));
    }
}
