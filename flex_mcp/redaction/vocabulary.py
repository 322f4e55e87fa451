"""The words by which names and values are told apart: facts, found on code and documents."""


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


# names that end so hold something about a secret: `token_count`, `password_field`
EXEMPT_LAST = words(
    """
    age alg algorithm arn at attempts audience binding bindings bits board budget button
    bytes chain check checked checker class code codes column columns cost count counts date
    days description disabled domain down enabled encoding endpoint entropy env error errors
    event events exists expiration expired expires expiry factory field fields file filename
    files fingerprint form format func function generator handler header headers hint host
    hours id ids index input invalid issuer label len length level limit limits link lock
    manager map max message method mgr min minutes missing mode model name names optional
    order page pair pairs parser path paths pattern per placeholder policy port prefix press
    price provider rate reader ref regex required reset retries ring role roles rotation
    rule rules schema scope scopes screen seconds service size sort source space state
    status storage store strength suffix table target text time timeout title ttl type types
    up uri url usage user username valid validator var variable vault version view word
    words
    """
)

# and names with one of these in them are no secret's: `public_key`, `max_tokens`
EXEMPT = words(
    """
    cache candidate column completion composite dict dictionary foreign group hot i18n
    idempotency input lookup map max min n natural num object output partition per primary
    prompt pub public publishable row short sort special tokenizer total translation unique
    """
)

# what tells a secret key from a key of a table: `api_key`
KEY_QUALIFIERS = words(
    """
    access account admin aes anthropic api app application auth aws azure client cohere
    consumer crypto datadog db dd decryption deploy encryption functions gcp github google
    groq hmac host jwt license mailgun maps master mistral openai private root secret
    sendgrid service session shared signing storage stripe subscription twilio webhook x
    """
)

# what examples and sentences put in a secret's place; and what code calls it
FILLERS = words(
    """
    a abc above access account admin always an and anthropic any anything api app
    application are array as ascii asdf ask at auth authentication authorization aws
    azure bar basic baz be bearer below bool boolean by bytes can change changed
    changeme client column confirm confirmation correct current database db default demo
    dict different dummy empty encrypted enter env environment example examples expired
    fake false field file first fixme float foo for forgot from generated github global
    goes google hashed header here hidden host id in include incorrect input insert int
    integer invalid is it jwt key keychain keys label latin list login manual map masked
    me message mismatch missing must my name never new nil no none not null number oauth
    object of ok old omit omitted on only openai optional or origin os pass passphrase
    passwd password passwords path placeholder plain plaintext policy private prompt put
    pwd qwe random read redacted register removed repeat replace required reset root
    rotate rotated safe same sample second secret secrets secure service session set
    should signin signup slack some something stored str string stripe stripped strong
    super test testing tests text that the this to todo token tokens true type unchanged
    undefined unknown unset use used user username using utf value values varchar
    variable vault via was weak whatever will with write wrong xxx yes your yyy zzz
    """
)

# functions that begin so take no secret: `get_secret("name")`
VERBS = words(
    """
    assert check create delete describe disable enable fetch find get has is list load make
    read remove revoke test update validate
    """
)
