//! A line editor with the usual shell keys.
//!
//! It returns the visible part of its text and the cursor's column; the caller draws them.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::styled_text::char_width;
use crate::domain::incident::command::TEXT_LIMIT;

/// The text being typed, and the cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Editor {
    text: Vec<char>,
    /// Number of characters before the cursor.
    cursor: usize,
}

impl Editor {
    /// The typed text, without leading and trailing blanks.
    pub fn text(&self) -> String {
        self.text.iter().collect::<String>().trim().to_owned()
    }

    /// Inserts typed or pasted text at the cursor. Line ends become blanks, control characters are dropped.
    pub fn insert(&mut self, text: &str) {
        for c in text.chars() {
            let c = if c.is_whitespace() { ' ' } else { c };
            // A character has at most four bytes, so the text never exceeds the engine's limit.
            if !c.is_control() && (self.text.len() + 1) * 4 <= TEXT_LIMIT {
                self.text.insert(self.cursor, c);
                self.cursor += 1;
            }
        }
    }

    /// Handles a key; true if the editor uses it.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char('b') if control => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Char('f') if control => self.cursor = (self.cursor + 1).min(self.text.len()),
            KeyCode::Char('u') if control => self.cut(0),
            KeyCode::Char('k') if control => self.text.truncate(self.cursor),
            KeyCode::Char('w') if control => self.cut(self.word_start()),
            KeyCode::Char('h') if control => self.cut(self.cursor.saturating_sub(1)),
            KeyCode::Char('d') if control => self.delete(),
            KeyCode::Char(c) if !control && !key.modifiers.contains(KeyModifiers::ALT) => {
                self.insert(c.encode_utf8(&mut [0; 4]))
            }
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            KeyCode::Backspace => self.cut(self.cursor.saturating_sub(1)),
            KeyCode::Delete => self.delete(),
            _ => return false,
        }
        true
    }

    fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    /// Removes the text between `from` and the cursor.
    fn cut(&mut self, from: usize) {
        self.text.drain(from..self.cursor);
        self.cursor = from;
    }

    fn word_start(&self) -> usize {
        let before = &self.text[..self.cursor];
        let end = before.iter().rposition(|c| *c != ' ').map_or(0, |at| at + 1);
        before[..end].iter().rposition(|c| *c == ' ').map_or(0, |at| at + 1)
    }

    /// The part that fits in `columns` and contains the cursor, and the cursor's column in it.
    pub fn window(&self, columns: usize) -> (String, usize) {
        // One column stays free for a cursor behind the last character.
        let room = columns.saturating_sub(1);
        let mut start = self.cursor;
        let mut before = 0;
        while start > 0 && before + char_width(self.text[start - 1]) <= room {
            start -= 1;
            before += char_width(self.text[start]);
        }
        let mut used = before;
        let mut end = self.cursor;
        while end < self.text.len() && used + char_width(self.text[end]) <= room {
            used += char_width(self.text[end]);
            end += 1;
        }
        (self.text[start..end].iter().collect(), before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(editor: &mut Editor, keys: &[(KeyCode, KeyModifiers)]) {
        for (code, modifiers) in keys {
            assert!(editor.key(KeyEvent::new(*code, *modifiers)), "{code:?}");
        }
    }

    #[test]
    fn the_usual_shell_keys_work() {
        let mut editor = Editor::default();
        editor.insert("roll back now");
        press(&mut editor, &[(KeyCode::Char('w'), KeyModifiers::CONTROL)]);
        assert_eq!(editor.text(), "roll back");
        press(&mut editor, &[(KeyCode::Home, KeyModifiers::NONE), (KeyCode::Delete, KeyModifiers::NONE)]);
        press(&mut editor, &[(KeyCode::Char('t'), KeyModifiers::NONE), (KeyCode::End, KeyModifiers::NONE)]);
        press(
            &mut editor,
            &[
                (KeyCode::Left, KeyModifiers::NONE),
                (KeyCode::Left, KeyModifiers::NONE),
                (KeyCode::Backspace, KeyModifiers::NONE),
            ],
        );
        assert_eq!(editor.text(), "toll bak");
        press(&mut editor, &[(KeyCode::Char('u'), KeyModifiers::CONTROL)]);
        assert_eq!(editor.text(), "k");
    }

    #[test]
    fn a_paste_inserts_no_line_ends_and_no_control_characters() {
        let mut editor = Editor::default();
        editor.insert("one\ntwo\u{1b}[2J\u{7}");
        assert_eq!(editor.text(), "one two[2J");
    }

    #[test]
    fn wide_characters_scroll_by_their_columns() {
        let mut editor = Editor::default();
        editor.insert("網關重啟完成");
        assert_eq!(editor.window(8), ("啟完成".to_owned(), 6));
        press(&mut editor, &[(KeyCode::Home, KeyModifiers::NONE)]);
        assert_eq!(editor.window(8), ("網關重".to_owned(), 0));
    }

    #[test]
    fn typed_text_stays_below_the_limit_of_the_engine() {
        let mut editor = Editor::default();
        editor.insert(&"x".repeat(1 << 20));
        assert!(editor.text().len() <= TEXT_LIMIT);
    }
}
