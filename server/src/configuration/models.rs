//! Which models are loaded, and how many replicas of each.

use clipdb_api::engine::EncoderSettings;

use super::defaults;
use super::error::{ConfigurationError, invalid_setting};
use super::settings::Settings;
use super::value::at_least;

/// A model to load, with the settings of its encoder.
#[derive(Debug, Clone)]
pub struct ModelConfiguration {
    pub name: String,
    pub encoder: EncoderSettings,
}

/// The models to load.
#[derive(Debug, Clone)]
pub struct ModelChoice {
    /// The first is the default.
    pub chosen: Vec<ModelConfiguration>,
    /// Defaults of earlier versions. Each is loaded too if a collection uses it, so that a data folder
    /// works as before. Empty if the user named the models.
    pub earlier_defaults: Vec<ModelConfiguration>,
}

impl Settings {
    /// Removes from `file` the models and replicas that `self` overrides.
    pub(super) fn keep_models(&self, file: &mut Self) -> Result<(), ConfigurationError> {
        if !file.model.is_empty() && !file.models.is_empty() {
            return Err(invalid_setting(
                "models",
                "the file sets 'model' too; set only one of the two",
            ));
        }
        if !self.model.is_empty() {
            file.models.clear();
        }
        if self.replicas.is_some() {
            for model in &mut file.models {
                model.replicas = None;
            }
        }
        Ok(())
    }

    /// Every model with the settings of `encoder`. Replicas divide the cores unless the number of
    /// threads is given.
    pub(super) fn models(
        &self,
        encoder: &EncoderSettings,
        cores: usize,
    ) -> Result<ModelChoice, ConfigurationError> {
        let named = self.model.iter().map(|name| (name.clone(), None));
        let listed = self
            .models
            .iter()
            .map(|model| (model.name.clone(), model.replicas));
        let named: Vec<(String, Option<usize>)> = named.chain(listed).collect();
        let default = |name: &&str| ((*name).to_owned(), None);
        let (chosen, earlier) = if named.is_empty() {
            let earlier = defaults::EARLIER_MODELS.iter().map(default).collect();
            (vec![default(&defaults::MODEL)], earlier)
        } else {
            (named, Vec::new())
        };
        let configure = |(name, replicas): (String, Option<usize>)| {
            let replicas = replicas.or(self.replicas).unwrap_or(encoder.replicas);
            let replicas = at_least("replicas", replicas, 1)?;
            let encoder = EncoderSettings {
                replicas,
                threads: self.threads.unwrap_or((cores / replicas).max(1)),
                ..encoder.clone()
            };
            Ok(ModelConfiguration { name, encoder })
        };
        let chosen: Result<_, ConfigurationError> = chosen.into_iter().map(configure).collect();
        let earlier: Result<_, _> = earlier.into_iter().map(configure).collect();
        Ok(ModelChoice {
            chosen: chosen?,
            earlier_defaults: earlier?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const CORES: usize = 8;

    /// Names, replicas and threads of `flags` over `file`.
    fn models(flags: &str, file: &str) -> Result<Vec<(String, usize, usize)>, ConfigurationError> {
        let parse = |text| toml::from_str::<Settings>(text).unwrap();
        let merged = parse(flags).over(parse(file), Path::new("clipdb.toml"))?;
        let models = merged.models(&EncoderSettings::default(), CORES)?;
        Ok(models
            .chosen
            .into_iter()
            .map(|model| (model.name, model.encoder.replicas, model.encoder.threads))
            .collect())
    }

    fn one(name: &str, replicas: usize, threads: usize) -> (String, usize, usize) {
        (name.to_owned(), replicas, threads)
    }

    #[test]
    fn a_name_a_list_of_names_and_a_list_of_models() {
        assert_eq!(models("", "").unwrap(), [one("clipdb-multilingual", 1, 8)]);
        assert_eq!(models("", "model = 'a'").unwrap(), [one("a", 1, 8)]);
        let several = [one("a", 2, 4), one("b", 2, 4)];
        assert_eq!(
            models("", "model = ['a', 'b']\nreplicas = 2").unwrap(),
            several
        );
        let file = "replicas = 2\n[[models]]\nname = 'a'\n[[models]]\nname = 'b'\nreplicas = 3";
        assert_eq!(models("", file).unwrap(), [one("a", 2, 4), one("b", 3, 2)]);
    }

    #[test]
    fn earlier_defaults_are_loaded_only_if_no_model_is_named() {
        let earlier = |text: &str| {
            let settings = toml::from_str::<Settings>(text).unwrap();
            let models = settings.models(&EncoderSettings::default(), CORES).unwrap();
            models.earlier_defaults.len()
        };
        assert_eq!(earlier(""), 1);
        assert_eq!(earlier("model = 'clipdb-multilingual'"), 0);
    }

    #[test]
    fn flags_win() {
        let file = "threads = 3\n[[models]]\nname = 'a'\nreplicas = 3";
        assert_eq!(models("model = 'b'", file).unwrap(), [one("b", 1, 3)]);
        assert_eq!(models("replicas = 5", file).unwrap(), [one("a", 5, 3)]);
    }

    #[test]
    fn more_replicas_than_cores_have_a_thread_each() {
        assert_eq!(
            models("replicas = 9", "").unwrap(),
            [one("clipdb-multilingual", 9, 1)]
        );
    }

    #[test]
    fn mistakes_are_named() {
        let both = models("", "model = 'a'\n[[models]]\nname = 'b'").unwrap_err();
        assert!(both.to_string().contains("'models'"), "{both}");
        let none = models("replicas = 0", "").unwrap_err();
        assert!(none.to_string().contains("'replicas'"), "{none}");
        let unknown = toml::from_str::<Settings>("[[models]]\nname = 'a'\nsize = 1").unwrap_err();
        assert!(unknown.to_string().contains("size"), "{unknown}");
    }
}
