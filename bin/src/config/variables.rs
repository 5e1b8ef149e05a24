//! `${VAR}` and `${VAR:-default}` in values.
//!
//! Text without `${` is taken as it is, so that a password with a dollar needs no care; `$${` stands for `${`.

use std::env::VarError;

use crate::config::Environment;

/// Why a value cannot be filled in, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfilled {
    pub(super) message: String,
    pub(super) hint: String,
}

/// Fills the variables in. What comes out of them is not looked at again.
pub(super) fn expand(text: &str, environment: Environment<'_>) -> Result<String, Unfilled> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(literal) = before.strip_suffix('$') {
            filled.push_str(literal);
            filled.push_str("${");
            rest = &from[2..];
            continue;
        }
        filled.push_str(before);
        let end = from.find('}').ok_or_else(|| wrong("a `${` is not closed by `}`"))?;
        filled.push_str(&value(&from[2..end], environment)?);
        rest = &from[end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn value(inside: &str, environment: Environment<'_>) -> Result<String, Unfilled> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(wrong("what stands in `${…}` is not a variable's name"));
    }
    match environment(name) {
        // An empty secret is a mistake of the deployment far more often than a wish, also where there is a default.
        Ok(value) if value.is_empty() => Err(Unfilled {
            message: format!("the variable {name} is set but empty"),
            hint: match default {
                Some(_) => format!("give {name} a value, or unset it to use the default"),
                None => format!("give {name} a value"),
            },
        }),
        Ok(value) => Ok(value),
        Err(VarError::NotPresent) => default.map(str::to_owned).ok_or_else(|| Unfilled {
            message: format!("the variable {name} is not set"),
            hint: format!("set {name}, or write ${{{name}:-default}}"),
        }),
        Err(VarError::NotUnicode(_)) => Err(Unfilled {
            message: format!("the variable {name} is not valid UTF-8"),
            hint: format!("give {name} another value"),
        }),
    }
}

fn wrong(message: &str) -> Unfilled {
    Unfilled {
        message: message.to_owned(),
        hint: "write ${VAR} or ${VAR:-default}; `$${` stands for a literal `${`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Result<String, VarError> {
        match name {
            "URL" => Ok("postgres://h/${db}".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err(VarError::NotPresent),
        }
    }

    fn filled(text: &str) -> Result<String, String> {
        expand(text, &environment).map_err(|e| e.message)
    }

    #[test]
    fn variables_and_defaults_are_filled_in_once() {
        assert_eq!(filled("a ${URL} b").as_deref(), Ok("a postgres://h/${db} b"));
        assert_eq!(filled("${NONE:-x:-y}${NONE:-}").as_deref(), Ok("x:-y"));
        assert_eq!(filled("${URL:-x}").as_deref(), Ok("postgres://h/${db}"));
    }

    #[test]
    fn a_dollar_alone_is_a_dollar() {
        for text in ["", "$", "pa$$word$", "$URL", "{URL}", "$ {URL}", "ü$"] {
            assert_eq!(filled(text).as_deref(), Ok(text));
        }
        assert_eq!(filled("$${URL}").as_deref(), Ok("${URL}"));
        assert_eq!(filled("$$${URL}").as_deref(), Ok("$${URL}"));
    }

    #[test]
    fn a_variable_that_is_unset_or_empty_is_named() {
        assert_eq!(filled("${NONE}").unwrap_err(), "the variable NONE is not set");
        assert_eq!(filled("${EMPTY}").unwrap_err(), "the variable EMPTY is set but empty");
        assert_eq!(filled("${EMPTY:-x}").unwrap_err(), "the variable EMPTY is set but empty");
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in ["${", "${URL", "${}", "${1A}", "${A B}", "${URL:?message}", "${:-x}"] {
            assert!(filled(text).is_err(), "{text}");
        }
    }
}
