//! Layers of settings: defaults, a file, the environment, `--set`. Later layers take precedence. A key that the defaults lack is an error.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, File, FileFormat, Source, Value, ValueKind};
use serde::de::DeserializeOwned;

/// Every default with its reason, as users read it.
const DEFAULTS: &str = include_str!("default.toml");

/// Usual places of the settings file, in order. The first file that exists is used.
const PLACES: [&str; 2] = ["jetreel.toml", "/etc/jetreel/jetreel.toml"];

/// Prefix of environment variables.
const PREFIX: &str = "JETREEL__";

/// Sources of the settings. All are explicit, so that tests depend on no process state.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The settings file. `None` for the first in the usual places.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// `key=value` pairs from the command line.
    pub overrides: Vec<(String, String)>,
    /// Whether the usual places are skipped.
    pub no_usual_places: bool,
}

impl Sources {
    /// The sources of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, overrides: Vec<(String, String)>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { file, environment, overrides, no_usual_places: false }
    }

    /// Arguments of this program that name the same file and overrides.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let file = self.file.iter().flat_map(|file| ["--config".into(), file.into()]);
        let overrides = self.overrides.iter();
        let overrides =
            overrides.flat_map(|(key, value)| ["--set".into(), format!("{key}={value}").into()]);
        file.chain(overrides).collect()
    }
}

/// One setting, for display.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Dotted key.
    pub key: String,
    /// Value as TOML; masked if it is a secret.
    pub value: String,
    /// Layer that the value comes from.
    pub origin: String,
}

/// Faults of the settings. Each message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A named file cannot be read.
    #[error("settings file {path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// A text is not TOML.
    #[error("settings in {origin} are not valid TOML: {detail}")]
    Syntax {
        /// Layer of the text.
        origin: String,
        /// Position and cause.
        detail: String,
    },
    /// A key does not exist.
    #[error("unknown setting `{key}` in {origin}{hint} `jetreel config show` lists every setting")]
    Unknown {
        /// The key as parsed.
        key: String,
        /// Layer of the key.
        origin: String,
        /// Text that follows: ": did you mean …?", or a semicolon.
        hint: String,
    },
    /// A value has the wrong type.
    #[error("wrong value in the settings: {0}")]
    Type(#[from] ConfigError),
    /// A value is not allowed.
    #[error("setting `{key}` is wrong: {problem}")]
    Invalid {
        key: String,
        /// The fault, and the allowed values.
        problem: String,
    },
}

type Merged = BTreeMap<String, (Value, String)>;

/// Reads the layers into `T`.
pub(super) fn read<T: DeserializeOwned>(sources: &Sources) -> Result<T, SettingsError> {
    let mut builder = Config::builder();
    for (key, (value, _)) in merge(sources)? {
        builder = builder.set_override(key, value)?;
    }
    builder.build()?.try_deserialize().map_err(named)
}

/// An error with its own sentence becomes an error of the value's key.
fn named(error: ConfigError) -> SettingsError {
    if let ConfigError::At { error, key: Some(key), .. } = error {
        return SettingsError::Invalid { key, problem: error.to_string() };
    }
    SettingsError::Type(error)
}

/// Every setting with its origin.
pub(super) fn explain(sources: &Sources) -> Result<Vec<Setting>, SettingsError> {
    merge(sources)?
        .into_iter()
        .map(|(key, (value, origin))| {
            let value: toml::Value = value.try_deserialize()?;
            Ok(Setting { value: mask(&key, &value), key, origin })
        })
        .collect()
}

fn merge(sources: &Sources) -> Result<Merged, SettingsError> {
    let mut merged = Merged::new();
    for (key, value) in toml_layer(DEFAULTS, "the defaults")? {
        merged.insert(key, (value, "default".to_owned()));
    }
    if let Some((path, text)) = settings_file(sources)? {
        let origin = path.display().to_string();
        for (key, value) in toml_layer(&text, &origin)? {
            put(&mut merged, &key, value.kind, &origin)?;
        }
    }
    for (name, text) in &sources.environment {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let key = path.to_lowercase().replace("__", ".").replace('_', "-");
        put(&mut merged, &key, ValueKind::String(text.clone()), name)?;
    }
    for (key, text) in &sources.overrides {
        put(&mut merged, key, ValueKind::String(text.clone()), "--set")?;
    }
    Ok(merged)
}

fn put(merged: &mut Merged, key: &str, kind: ValueKind, origin: &str) -> Result<(), SettingsError> {
    let Some((old, old_origin)) = merged.get_mut(key) else {
        return Err(SettingsError::Unknown {
            key: key.to_owned(),
            origin: origin.to_owned(),
            hint: hint(key, merged.keys()),
        });
    };
    let kind = match (&old.kind, kind) {
        (ValueKind::Array(list), ValueKind::String(text)) => listed(key, list, &text, origin)?,
        (_, kind) => kind,
    };
    *old = Value::new(Some(&origin.to_owned()), kind);
    *old_origin = origin.to_owned();
    Ok(())
}

/// A list from one text: words separated by commas. A list of tables has no such form.
fn listed(
    key: &str,
    default: &[Value],
    text: &str,
    origin: &str,
) -> Result<ValueKind, SettingsError> {
    if default.iter().any(|value| matches!(value.kind, ValueKind::Table(_))) {
        return Err(SettingsError::Invalid {
            key: key.to_owned(),
            problem: format!("it is a list; {origin} cannot hold one, set it in a file"),
        });
    }
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let word =
        |word: &str| Value::new(Some(&origin.to_owned()), ValueKind::String(word.to_owned()));
    Ok(ValueKind::Array(words.map(word).collect()))
}

fn settings_file(sources: &Sources) -> Result<Option<(PathBuf, String)>, SettingsError> {
    let unreadable =
        |path: &Path, source| SettingsError::Unreadable { path: path.to_owned(), source };
    if let Some(path) = &sources.file {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
        return Ok(Some((path.clone(), text)));
    }
    let places = if sources.no_usual_places { &[][..] } else { &PLACES[..] };
    for place in places.iter().map(Path::new) {
        match std::fs::read_to_string(place) {
            Ok(text) => return Ok(Some((place.to_owned(), text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(place, error)),
        }
    }
    Ok(None)
}

/// A TOML text as dotted keys with their values.
fn toml_layer(text: &str, origin: &str) -> Result<BTreeMap<String, Value>, SettingsError> {
    let collected = File::from_str(text, FileFormat::Toml).collect().map_err(|error| {
        SettingsError::Syntax { origin: origin.to_owned(), detail: error.to_string() }
    })?;
    let mut flat = BTreeMap::new();
    for (key, value) in collected {
        flatten(key, Value::new(Some(&origin.to_owned()), value.kind), &mut flat);
    }
    Ok(flat)
}

fn flatten(key: String, value: Value, flat: &mut BTreeMap<String, Value>) {
    match value.kind {
        ValueKind::Table(table) => {
            for (name, inner) in table {
                flatten(format!("{key}.{name}"), inner, flat);
            }
        }
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_)
        | ValueKind::Array(_) => {
            flat.insert(key, value);
        }
    }
}

/// The known key nearest to a wrong one.
fn hint<'a>(wrong: &str, known: impl Iterator<Item = &'a String>) -> String {
    known
        .map(|key| (distance(wrong, key), key))
        .min()
        .filter(|(steps, _)| *steps <= 3)
        .map_or_else(|| ";".to_owned(), |(_, key)| format!(": did you mean `{key}`?"))
}

/// Edit distance of two texts (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn mask(key: &str, value: &toml::Value) -> String {
    let Some(text) = value.as_str().filter(|text| !text.is_empty()) else {
        return value.to_string();
    };
    // The URL of a hook often contains a secret.
    if key.ends_with("-key") || key.starts_with("hook.") || key.starts_with("scaler.hook") {
        return "\"***\"".to_owned();
    }
    if key != "nats.url" && key != "telemetry.otlp-endpoint" {
        return value.to_string();
    }
    let urls: Vec<String> = text.split(',').map(mask_url).collect();
    toml::Value::String(urls.join(",")).to_string()
}

fn mask_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let separator = if scheme.is_empty() { "" } else { "://" };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{separator}***@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jetreel_domain::id::Group;

    use super::*;
    use crate::settings::Settings;

    fn load(environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::load(&sources(environment))
    }

    fn sources(environment: &[(&str, &str)]) -> Sources {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(own).collect();
        Sources { environment, no_usual_places: true, ..Sources::default() }
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, Sources) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let sources = Sources { file: Some(file.path().to_owned()), ..sources(&[]) };
        (file, sources)
    }

    #[test]
    fn the_defaults_alone_are_valid() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.http.listen.port(), 8080);
        assert!(settings.plan.ladder.is_sorted_by_key(|rung| rung.short_side));
        assert_eq!(settings.plan.tiers, None);
        let groups: Vec<Group> = settings.node.group_slots.0.into_keys().collect();
        assert_eq!(groups, Group::ALL, "each has its key");
    }

    #[test]
    fn the_environment_wins_over_a_file_and_a_file_over_the_defaults() {
        let (_file, mut sources) = file("[store]\nroot = \"/a\"\n[node]\nslots = 3\n");
        sources.environment = vec![("JETREEL__STORE__ROOT".into(), "/b".into())];
        let settings = Settings::load(&sources).unwrap();
        assert_eq!((settings.store.root.as_str(), settings.node.slots), ("/b", 3));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_origin_and_the_nearest_key() {
        let (_file, sources) = file("[store]\nbuckett = \"x\"\n");
        let error = Settings::load(&sources).unwrap_err().to_string();
        assert!(error.contains("`store.buckett`"), "{error}");
        assert!(error.contains("did you mean `store.bucket`? `jetreel"), "{error}");
        let error = load(&[("JETREEL__STORE__SECRETKEY", "x")]).unwrap_err().to_string();
        assert!(error.contains("JETREEL__STORE__SECRETKEY"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_names_its_key() {
        let error = load(&[("JETREEL__NODE__SLOTS", "many")]).unwrap_err().to_string();
        assert!(error.contains("node.slots"), "{error}");
        let error = load(&[("JETREEL__NODE__ROLES", "cook")]).unwrap_err().to_string();
        assert!(
            error.starts_with("setting `node.roles` is wrong: \"cook\" is not a role"),
            "{error}"
        );
    }

    #[test]
    fn a_list_of_words_comes_from_the_environment_and_one_of_tables_does_not() {
        let words = load(&[("JETREEL__NODE__LABELS", "gpu, big-memory")]).unwrap().node.labels;
        assert_eq!(words, ["gpu", "big-memory"]);
        assert!(load(&[("JETREEL__NODE__LABELS", "")]).unwrap().node.labels.is_empty());
        let error = load(&[("JETREEL__PLAN__LADDER", "720p")]).unwrap_err().to_string();
        assert!(error.contains("`plan.ladder`") && error.contains("in a file"), "{error}");
    }

    #[test]
    fn secrets_are_masked_and_origins_shown() {
        let mut sources = sources(&[
            ("JETREEL__STORE__SECRET_KEY", "hush"),
            ("JETREEL__HOOK__URL", "https://pager.test/hush"),
            ("JETREEL__HOOK__AUTHORIZATION", "Bearer hush"),
            ("JETREEL__SCALER__HOOK", "https://cloud.test/hush"),
            ("JETREEL__SCALER__HOOK_AUTHORIZATION", "Bearer hush"),
        ]);
        sources.overrides = vec![("nats.url".into(), "nats://a:hush@n1,n2".into())];
        let shown = Settings::explain(&sources).unwrap();
        assert!(shown.iter().all(|setting| !setting.value.contains("hush")));
        let find = |key: &str| shown.iter().find(|setting| setting.key == key).unwrap();
        assert_eq!(find("store.secret-key").origin, "JETREEL__STORE__SECRET_KEY");
        assert_eq!(find("nats.url").value, "\"nats://***@n1,n2\"");
        assert_eq!(find("http.listen").origin, "default");
    }
}
