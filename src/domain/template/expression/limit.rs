//! Limits of a source, checked before the recursive parser and compiler see it, and of a result.

use super::error::whole;
use super::scanner;
use super::scanner::PieceKind;
use super::{ExpressionError, MAX_BLOCKS, MAX_CODE, MAX_RENDERED, MAX_TEMPLATE};

/// Refuses a source that could exhaust the stack of the recursive parser and compiler, or that is never closed.
pub(in crate::domain) fn guard(source: &str) -> Result<(), ExpressionError> {
    if source.len() > MAX_TEMPLATE {
        return Err(ExpressionError::at(source, 0..0, "the template is larger than 256 KiB"));
    }
    if let Some(range) = scanner::unclosed(source) {
        let opening = source[range.clone()].to_owned();
        let error = ExpressionError::at(source, range, format!("`{opening}` is never closed"));
        return Err(error.hint(format!("Close it, or write `{{{{ '{opening}' }}}}` for the characters themselves.")));
    }
    let pieces = scanner::pieces(source);
    let code = |kind| matches!(kind, PieceKind::Expression | PieceKind::Block);
    if let Some(long) = pieces.iter().find(|piece| code(piece.kind) && piece.inner.len() > MAX_CODE) {
        return Err(ExpressionError::at(
            source,
            long.outer.start..long.outer.start + 2,
            "the expression is longer than 2 KiB",
        ));
    }
    match pieces.iter().filter(|piece| piece.kind == PieceKind::Block).nth(MAX_BLOCKS) {
        Some(piece) => Err(ExpressionError::at(source, piece.outer.clone(), "the template has too many blocks")),
        None => Ok(()),
    }
}

/// The same for a bare expression.
pub(super) fn guard_expression(expression: &str) -> Result<(), ExpressionError> {
    if expression.len() > MAX_CODE {
        return Err(ExpressionError::at(expression, 0..0, "the expression is longer than 2 KiB"));
    }
    Ok(())
}

/// Refuses a result of more than [`MAX_RENDERED`] bytes.
pub(in crate::domain) fn within_limit(source: &str, bytes: usize) -> Result<(), ExpressionError> {
    if bytes > MAX_RENDERED { Err(ExpressionError::at(source, whole(source), super::TOO_LARGE)) } else { Ok(()) }
}
