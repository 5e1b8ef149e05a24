//! "Did you mean": the known name that is closest to a misspelt one.

/// How alike two names must be, from 0 to 1. One wrong letter in four is still a slip, two are another word.
const ALIKE: f64 = 0.7;

/// The known name that `wrong` most likely stands for.
pub(crate) fn closest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace(['-', ' '], "_");
    known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// A hint for a name that is not among the known ones.
pub(crate) fn hint<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let all: Vec<&str> = known.clone().into_iter().collect();
    match (closest(wrong, known), all.is_empty()) {
        (Some(name), _) => format!("did you mean `{name}`? known: {}", all.join(", ")),
        (None, false) => format!("known: {}", all.join(", ")),
        (None, true) => "there are none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["loose_foreign_key", "database", "format"];
        assert_eq!(closest("loose_foreign_kye", known), Some("loose_foreign_key"));
        assert_eq!(closest("Data-Base", known), Some("database"));
        assert_eq!(closest("databse", known), Some("database"));
        assert_eq!(closest("cluster", known), None);
        assert_eq!(hint("x", []), "there are none");
    }
}
