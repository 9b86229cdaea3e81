# every form of the language
// a comment
/* another
   one */
plain = 1
float = -1.5e3
hex = 0x1F
yes = true, no = false nothing = null
text = "a \"quoted\" \u00e4 \n ${var.x} %{if y} $${z} %REQ(X)%"
"quoted key" = [1, "two", [3], { four = 4 }, ]
heredoc = <<EOT
one
  two
EOT
indented = <<-EOT
    three
      four
    EOT
block {
  inner = "x"
}
labelled "one" "two" {
  a = 1
}
labelled "one" "three" { a = 2 }
again { a = 1 }
again { a = 2 }
