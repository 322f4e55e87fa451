"""Lines as they are met: shells, traces, logs, files of settings, code, and what people write.

A secret stands between two §. `{hex40}` and its like are characters that are drawn when the set is
read, so that no line here holds a whole key. The second half was written before the first one, and
nothing was tuned on it.
"""

MET: dict[int, tuple[str, ...]] = {}

MET[2] = (
    # shells
    "AWS Access Key ID [None]: §AKIA{UPPER16}§\nAWS Secret Access Key [None]: §{b64_40}§\n"
    "Default region name [None]: eu-central-1",
    'postgres=# \\password app\nEnter new password for user "app": §Gr7nwal!§',
    "Unseal Key (will be hidden): §{b64_44}§",
    "? Paste your access token: › §{hex40}§",
    "Username for 'https://git.example.com': ada\n"
    "Password for 'https://ada@git.example.com': §{alnum20}§",
    "[sudo] password for ada: §k4ffee-Tasse§",
    "Enter old passphrase: §correct horse battery staple§\nEnter new passphrase:",
    "New password:\n§Ne3uland!§\nRetype new password:\n§Ne3uland!§",
    "Enter PIN for 'YubiKey 5': §482913§",
    "kubectl create secret generic db --from-literal=password='§Nie wieder 3 Uhr§'",
    "curl -s -b 'JSESSIONID=§{HEX32}§; lang=de' https://shop.example.com/cart",
    # traces and logs
    "> GET /me HTTP/1.1\n> Host: api.example.com\n"
    "> Cookie: _ga=GA1.2.1234567.1700000000; connect.sid=§s%3A{alnum32}.{alnum43}§",
    "< set-cookie: __Host-session=§{url43}§; Path=/; Secure; HttpOnly",
    '{"level":"debug","headers":{"set-cookie":["laravel_session=§{alnum180}§; httponly"],"age":"0"}}',
    '{"request":{"headers":{"cookie":"remember_token=§{digits6}|{hex64}§; tz=Europe/Berlin"}}}',
    "10:00:01Z INFO login ok user=ada Set-Cookie: PHPSESSID=§{lower26}§; path=/",
    "x-amz-security-token: §{b64_300}§",
    "POST https://api.telegram.org/bot§{digits10}:AA{url33}§/sendMessage 200",
    "DEBUG posting to https://discord.com/api/webhooks/§{digits18}/{url68}§ failed: 429",
    '{"jsonrpc":"2.0","method":"login","params":{"user":"ada","password":"§two words 2§"}}',
    r'body = "{\"user\": \"ada\", \"password\": \"§Summer 2024!§\"}"',
    "loaded §m0-{alnum40}§ from the dashboard",
    "the store answers 401 for §brv_{url32}§, is it revoked?",
    # files
    '{"type": "service_account", "project_id": "demo", "private_key_id": "§{hex40}§",'
    ' "client_id": "{digits21}"}',
    "<server><id>nexus</id><username>deploy</username><password>§Kalte Ente 12§</password></server>",
    'kind: Secret\nstringData:\n  admin-password: "§Drei Nüsse 3§"',
    'master_password = "§tall Giraffe 6!§"',
    'variable "db_password" {\n  type    = string\n  default = "§Quarz7fels§"\n}',
    'MAIL_PASSWORD="§Montag ist 1 Tag§"  # smtp',
    "    environment:\n      - POSTGRES_PASSWORD=§Elf3nbein§",
    # code
    'props.setProperty("password", "§Ein Satz 4 U§");',
    'cfg := Config{User: "app", Password: "§open sesame 77!§"}',
    'let opts = PgConnectOptions::new().username("app").password("§ra1n in spain§");',
    "define('DB_PASSWORD', '§Rot & Grün 5§');",
    'config.secret_key_base = "§{hex128}§"',
    'let apiKey = "§8fK2 xQ9z LmP4 tRv7§"',
    # people
    "pw: §tr0mbone§",
    "Voici le mot de passe du wifi : « §Chat noir 42§ »",
    'La clave de acceso es "§sol y mar 7§"',
    'Das WLAN-Passwort ist "§Apfel Birne 12§".',
    'пароль от админки: "§зима близко 77§"',
    # none
    "--- PASS: TestParseToken2 (0.00s)",
    "=== RUN   TestSecretRotation\n    --- PASS: TestSecretRotation/rotates_key_v2 (0.01s)\nPASS\n"
    "ok  \texample.com/auth\t0.012s",
    "test auth::tests::password_is_hashed_2x ... ok",
    "PASS src/auth/token.test.ts (5.123 s)",
    "ok 12 - password is hashed with bcrypt 12 rounds",
    "12/40 Test #12: auth_token_v2 ....................   Passed    0.03 sec",
    "PASSED tests/test_auth.py::test_secret_key_42 [ 50%]",
    "Tests: pass: 12 | fail: 0 | skip: 3",
    "PWD=/home/ada/work/app2 OLDPWD=/tmp",
    "usage: prompt_tokens: 5123, completion_tokens: 88, total_tokens: 5211",
    '{"token_type": "Bearer", "expires_in": 3600, "scope": "read:user"}',
    "Auth: none, Encryption: TLS1.3",
    'password: "must be 8 to 64 characters"',
    '"password": "Your password must contain at least 1 digit"',
    'errors: { password: ["is too short (minimum is 8 characters)"] }',
    "sort key: created_at2, primary key: id",
    "secret santa: 24 December, budget 20 EUR",
    '<label for="password">Password (min. 8 characters)</label>',
    'Password for user app: \npsql (16.2)\nType "help" for help.',
    "[sudo] password for ada: \nSorry, try again.",
    "Enter passphrase for key '/home/ada/.ssh/id_ed25519': \nIdentity added: id_ed25519 (ada@box)",
    "AWS Secret Access Key [****************AbCd]: \nDefault region name [eu-west-1]:",
    "Enter new UNIX password:\nRetype new UNIX password:\npasswd: password updated successfully",
    "Cookie: theme=dark; consent=2026-05-02; _ga=GA1.2.1234567.1700000000",
    "Set-Cookie: sid=; Max-Age=0; Path=/",
    'document.cookie = "lang=en; max-age=31536000"',
    "private_key_id is the id of the key that signed it",
    "client_id: 1234567890-{lower32}.apps.googleusercontent.com",
    "https://api.telegram.org/bot<token>/getMe",
    "see https://api.slack.com/messaging/webhooks#posting_with_webhooks",
    "https://example.com/docs/hooks/useAuthToken2.html",
    'mem0_config = load("mem0_config_v2.yaml")  # m0-series',
    "the brv_test_helpers_v2 are in tests/brv_fixtures",
    "card token 692 was scanned at gate 4",
    "Key: ArrowLeft, code 37",
    "auth = HTTPBasicAuth(user, password)",
    "Passwort: mindestens 12 Zeichen, davon 1 Ziffer",
    "Contraseña: debe tener 8 caracteres",
    "password_hash_algorithm: argon2id",
    '"secret": "projects/123/secrets/db/versions/2"',
    'placeholder="Password (8+ characters)"',
    "ssh: Permission denied (publickey,password).",
)
