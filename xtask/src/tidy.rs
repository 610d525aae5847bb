//! What compilers and linters do not check. Also a test, so that it runs wherever the tests run.

mod files;
mod golden;
mod layers;

use std::error::Error;
use std::path::Path;

/// All mistakes, one a line, each with its place.
///
/// # Errors
/// When the repository cannot be looked at.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut mistakes = layers::check(root)?;
    mistakes.extend(files::check(root)?);
    mistakes.extend(golden::check(root)?);
    Ok(mistakes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        let mistakes = super::check(&crate::root()).unwrap();
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    }
}
