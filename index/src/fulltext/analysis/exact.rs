//! Takes a complete value as one word. Only case, compatible forms of letters and invisible
//! characters are ignored.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::letters::{JOINER, ZERO_WIDTH_SPACE};
use super::normal::Normal;

#[derive(Clone, Default)]
pub(super) struct ExactTokenizer {
    token: Token,
}

pub(super) struct ExactStream<'a> {
    token: &'a mut Token,
    given: bool,
}

impl Tokenizer for ExactTokenizer {
    type TokenStream<'a> = ExactStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> ExactStream<'a> {
        let token = &mut self.token;
        token.reset();
        token.position = 0;
        token.offset_to = text.len();
        for c in Normal::of(text).text().chars() {
            match c {
                JOINER | ZERO_WIDTH_SPACE => {}
                'ß' | 'ẞ' => token.text.push_str("ss"),
                'ς' => token.text.push('σ'),
                'İ' => token.text.push('i'),
                c => token.text.extend(c.to_lowercase()),
            }
        }
        ExactStream {
            token,
            given: false,
        }
    }
}

impl TokenStream for ExactStream<'_> {
    fn advance(&mut self) -> bool {
        !std::mem::replace(&mut self.given, true)
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
